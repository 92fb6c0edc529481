import { HostFailure } from "../failure.ts";

const LONGEST_PATH = 4096;
const LONGEST_NAME = 255;

/** Controls of C0 and C1, and the bidirectional overrides that make an approver read another path. */
const UNREADABLE = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;

export interface RelativePath {
  /** Folder part; `.` for the root itself. */
  readonly folder: string;
  readonly name: string;
}

/**
 * Checks the spelling of a path before any of it is opened. Throws {@link HostFailure} `path_invalid`, or
 * `traversal` for a `..` segment.
 */
export function checkPath(path: string): RelativePath {
  const segments = path.split("/");
  if (segments.includes("..")) throw new HostFailure("traversal", "path has a .. segment");
  if (path === "" || Buffer.byteLength(path) > LONGEST_PATH) throw invalid("path is empty or too long");
  if (!path.isWellFormed() || UNREADABLE.test(path)) throw invalid("path has a forbidden character");
  if (path.includes("\\") || /^[A-Za-z]:/.test(path))
    throw invalid("path is not written with forward slashes");
  for (const segment of segments) {
    if (segment === "" || segment === ".") throw invalid("path is absolute, or has an empty or . segment");
    if (Buffer.byteLength(segment) > LONGEST_NAME) throw invalid("path has a segment that is too long");
  }
  const cut = path.lastIndexOf("/");
  return cut < 0 ? { folder: ".", name: path } : { folder: path.slice(0, cut), name: path.slice(cut + 1) };
}

function invalid(message: string): HostFailure {
  return new HostFailure("path_invalid", message);
}
