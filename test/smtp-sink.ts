import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";
import type { Identity } from "./certificates.ts";

export interface ReceivedMail {
  readonly from: string;
  readonly recipients: readonly string[];
  /** As it came, dots unstuffed. */
  readonly raw: Buffer;
  readonly user: string | null;
  readonly secure: boolean;
}

export interface SmtpSinkSetup {
  readonly tls: "starttls" | "implicit" | "off";
  readonly identity?: Identity;
  /** The server does not speak of STARTTLS, as when somebody in between takes it out. */
  readonly stripped?: boolean;
  /** Without it there is no login. */
  readonly login?: { readonly user: string; readonly password: string };
  /** Recipients that are refused. */
  readonly refuses?: readonly string[];
  /** Answer to a whole message in place of 250. */
  readonly answer?: Error;
  /** The connection is destroyed in place of an answer to a whole message. */
  readonly cutsOff?: boolean;
}

export interface SmtpSink {
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  /** Passwords that arrived. */
  readonly passwords: readonly string[];
  readonly connections: number;
  close(): Promise<void>;
}

/** A mail server on loopback that keeps what it gets. */
export async function startSmtpSink(setup: SmtpSinkSetup): Promise<SmtpSink> {
  const mails: ReceivedMail[] = [];
  const passwords: string[] = [];
  let connections = 0;
  const { login, identity } = setup;
  const server = new SMTPServer({
    secure: setup.tls === "implicit",
    ...(identity === undefined ? {} : { cert: identity.cert, key: identity.key }),
    hideSTARTTLS: setup.tls !== "starttls" || setup.stripped === true,
    disabledCommands: [
      ...(login === undefined ? ["AUTH"] : []),
      ...(setup.tls !== "starttls" || setup.stripped === true ? ["STARTTLS"] : []),
    ],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    logger: false,
    onConnect: (_, done) => {
      connections += 1;
      done();
    },
    onAuth: (auth, _, done) => {
      passwords.push(auth.password ?? "");
      if (auth.username === login?.user && auth.password === login?.password)
        done(null, { user: auth.username });
      // As some servers do: the answer repeats what was sent.
      else done(new Error(`535 wrong password ${auth.password}`));
    },
    onRcptTo: (address, _, done) => {
      done(setup.refuses?.includes(address.address) === true ? new Error("no such mailbox here") : null);
    },
    onData: (stream, session, done) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom === false ? "" : mailFrom.address,
          recipients: rcptTo.map(({ address }) => address),
          raw: Buffer.concat(chunks),
          user: typeof session.user === "string" ? session.user : null,
          secure: session.secure,
        });
        if (setup.cutsOff === true) for (const connection of server.connections) connection.close();
        else done(setup.answer ?? null);
      });
    },
  });
  server.on("error", () => undefined); // a client that breaks a handshake off
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.server.address() as AddressInfo;
  return {
    port,
    mails,
    passwords,
    get connections() {
      return connections;
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
