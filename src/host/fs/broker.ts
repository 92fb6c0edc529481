import { type BigIntStats, fstatSync } from "node:fs";
import { sha256 } from "../../core/bytes.ts";
import type { FsEffect } from "../../core/effect.ts";
import type { HostAnswer } from "../../core/host-call.ts";
import type { CallLimits, FsPlan } from "../../core/plan.ts";
import { HostFailure } from "../failure.ts";
import type { Writable } from "../record.ts";
import { canonicalPath, type Descriptor, openBeneath, openLeaf, reopen } from "./beneath.ts";
import { type CommitDeps, discard, placeNew, placeOver, removeExactly, stage, Unsettled } from "./commit.ts";
import { type Contents, readContents } from "./contents.ts";
import { O } from "./kernel.ts";
import { checkPath } from "./paths.ts";
import { Permissions } from "./permission.ts";
import { type Root, Roots } from "./roots.ts";

/** No call moves more than this, whatever a plan says: 10 MiB. */
export const LARGEST_FILE = 10 * 1024 * 1024;

export interface FsBrokerDeps extends CommitDeps {
  /** Absolute, canonical paths of the folders that plans may name as roots. */
  readonly roots: readonly string[];
}

export interface FsJob {
  readonly plan: FsPlan;
  readonly limits: CallLimits;
  readonly signal: AbortSignal;
  readonly record: Writable<FsEffect>;
}

/** Where a path led: its folder, held open, and the name in it. */
interface Place {
  readonly root: Root;
  readonly folder: Descriptor;
  readonly name: string;
}

/** Reads and changes planned files beneath the gate's roots. */
export class FsBroker {
  private readonly deps: FsBrokerDeps;
  private readonly roots: Roots;
  private readonly permissions = new Permissions();

  /** Opens the roots; throws `HostSetupError` for one that cannot be a boundary. */
  constructor(deps: FsBrokerDeps) {
    this.deps = deps;
    this.roots = new Roots(deps.kernel, deps.roots);
  }

  /** Performs a plan. The record is kept current throughout. Throws {@link HostFailure}, or the signal's reason. */
  async perform(job: FsJob): Promise<HostAnswer> {
    const { plan, limits, signal } = job;
    const path = checkPath(plan.path);
    if ((plan.content?.length ?? 0) > Math.min(largest(plan), limits.requestBytes))
      throw new HostFailure("too_large", "content over the limit");
    this.permissions.check(plan, plan.path);
    const root = this.roots.get(plan.root);
    signal.throwIfAborted();
    const flags = O.DIRECTORY | (plan.operation === "read" ? O.PATH : O.READ);
    using folder = openBeneath(this.deps.kernel, root.folder, path.folder, flags);
    const place = { root, folder, name: path.name };
    // Awaited here, so that the folder stays open until the work is done.
    switch (plan.operation) {
      case "read":
        return await this.read(job, place);
      case "create":
        return await this.create(job, place);
      case "overwrite":
        return await this.overwrite(job, place);
      case "delete":
        return await this.remove(job, place);
      default:
        throw new HostFailure("operation_not_allowed", "no such file operation");
    }
  }

  close(): void {
    this.roots.close();
  }

  private async read(job: FsJob, place: Place): Promise<HostAnswer> {
    const { plan, limits, signal, record } = job;
    using leaf = this.leaf(job, place);
    using file = reopen(this.deps.kernel, leaf, O.READ);
    const cap = Math.min(largest(plan), limits.responseBytes);
    const { bytes, hash } = await readContents(this.deps.io, file.fd, cap, signal);
    before(record, fstatSync(file.fd, { bigint: true }), { bytes, hash });
    record.afterHash = hash;
    record.bytesAfter = bytes.length;
    record.reached = "confirmed";
    const ok = { content: bytes, hash: Buffer.from(hash, "hex"), sizeBytes: bytes.length };
    return { kind: "fs.read", ok };
  }

  private async create(job: FsJob, place: Place): Promise<HostAnswer> {
    const { kernel } = this.deps;
    const { record, signal } = job;
    const content = planned(job.plan);
    this.admit(job, place.root, `${canonicalPath(place.folder)}/${place.name}`);
    if (exists(() => openBeneath(kernel, place.folder, place.name, O.PATH)))
      throw new HostFailure("already_exists", "something bears this name already");
    const staged = await stage(this.deps, place.folder, content, null, signal);
    this.commit(job, place, staged.name, () => placeNew(kernel, place.folder, staged, place.name));
    record.beforeHash = null;
    record.bytesBefore = 0;
    return this.written(job, place, staged.stat, content);
  }

  private async overwrite(job: FsJob, place: Place): Promise<HostAnswer> {
    const { kernel } = this.deps;
    const { plan, record, signal } = job;
    const content = planned(plan);
    using leaf = this.leaf(job, place);
    // Opened for writing although nothing is written to it: a file that may not be changed must not be replaced.
    using file = reopen(kernel, leaf, O.READ_WRITE);
    const stat = await this.readExpected(job, file);
    const staged = await stage(this.deps, place.folder, content, stat, signal);
    try {
      const again = await readContents(this.deps.io, file.fd, largest(plan), signal);
      if (again.hash !== record.beforeHash)
        throw new HostFailure("conflict", "file changed since it was read");
    } catch (thrown) {
      discard(kernel, place.folder, staged.name);
      throw thrown;
    }
    this.commit(job, place, staged.name, () => placeOver(kernel, place.folder, staged, place.name, stat));
    return this.written(job, place, staged.stat, content);
  }

  private async remove(job: FsJob, place: Place): Promise<HostAnswer> {
    const { record } = job;
    using leaf = this.leaf(job, place);
    using file = reopen(this.deps.kernel, leaf, O.READ);
    const stat = await this.readExpected(job, file);
    this.commit(job, place, null, () => removeExactly(this.deps, place.folder, place.name, stat));
    record.afterHash = null;
    record.bytesAfter = 0;
    await this.settle(job, place);
    return { kind: "fs.delete", ok: { ok: true } };
  }

  /** The file at the place, judged by its canonical path. */
  private leaf(job: FsJob, place: Place): Descriptor {
    const leaf = openLeaf(this.deps.kernel, place.folder, place.name);
    try {
      this.admit(job, place.root, canonicalPath(leaf));
      return leaf;
    } catch (thrown) {
      leaf[Symbol.dispose]();
      throw thrown;
    }
  }

  /** The globs again, on the path as the kernel knows it. */
  private admit(job: FsJob, root: Root, canonical: string): void {
    if (!canonical.startsWith(`${root.path}/`))
      throw new HostFailure("symlink_escape", "path leaves the root");
    const path = canonical.slice(root.path.length + 1);
    this.permissions.check(job.plan, path);
    job.record.path = path;
  }

  /** Reads what is about to be changed, into the record, and holds it against the plan. */
  private async readExpected(job: FsJob, file: Descriptor): Promise<BigIntStats> {
    const { plan, record, signal } = job;
    const stat = fstatSync(file.fd, { bigint: true });
    before(record, stat, await readContents(this.deps.io, file.fd, largest(plan), signal));
    if (plan.expectedBeforeHash !== null && plan.expectedBeforeHash !== record.beforeHash)
      throw new HostFailure("conflict", "file is not the one that the plan expects");
    return stat;
  }

  /** The one step that changes anything. When it fails and could be undone, the effect was not reached. */
  private commit(job: FsJob, place: Place, staged: string | null, change: () => void): void {
    const { record, signal } = job;
    try {
      signal.throwIfAborted();
      record.reached = "maybe";
      change();
    } catch (thrown) {
      if (thrown instanceof Unsettled) throw thrown;
      record.reached = "none";
      if (staged !== null) discard(this.deps.kernel, place.folder, staged);
      throw thrown;
    }
  }

  private async written(
    job: FsJob,
    place: Place,
    stat: BigIntStats,
    content: Uint8Array,
  ): Promise<HostAnswer> {
    const { record } = job;
    using now = openLeaf(this.deps.kernel, place.folder, place.name);
    const placed = fstatSync(now.fd, { bigint: true });
    if (placed.ino !== stat.ino || placed.dev !== stat.dev || placed.mtimeNs !== stat.mtimeNs)
      throw new HostFailure("conflict", "another file took the place of the written one");
    const hash = sha256(content);
    record.device = String(placed.dev);
    record.inode = String(placed.ino);
    record.afterHash = hash.toString("hex");
    record.bytesAfter = content.length;
    await this.settle(job, place);
    const ok = {
      beforeHash: record.beforeHash === null ? null : Buffer.from(record.beforeHash, "hex"),
      afterHash: hash,
      bytesBefore: record.bytesBefore ?? 0,
      bytesWritten: content.length,
    };
    return { kind: "fs.write", ok };
  }

  /** Makes the change of the folder durable; only then is the effect confirmed. */
  private async settle(job: FsJob, place: Place): Promise<void> {
    await this.deps.io.sync(place.folder.fd);
    job.record.reached = "confirmed";
  }
}

function largest(plan: FsPlan): number {
  return Math.min(plan.maxFileBytes, LARGEST_FILE);
}

function planned(plan: FsPlan): Uint8Array {
  if (plan.content === null) throw new HostFailure("invalid_content", "plan has no content to write");
  return plan.content;
}

function before(record: Writable<FsEffect>, stat: BigIntStats, contents: Contents): void {
  record.device = String(stat.dev);
  record.inode = String(stat.ino);
  record.beforeHash = contents.hash;
  record.bytesBefore = contents.bytes.length;
}

function exists(open: () => Descriptor): boolean {
  try {
    open()[Symbol.dispose]();
    return true;
  } catch (thrown) {
    if (thrown instanceof HostFailure && thrown.code === "path_not_found") return false;
    throw thrown;
  }
}
