import MailComposer from "nodemailer/lib/mail-composer";
import type { MailPlan } from "../../core/plan.ts";

export interface MessageFacts {
  /** Without angle brackets. */
  readonly messageId: string;
  /** Milliseconds since the epoch. */
  readonly date: number;
}

/**
 * The message of a plan as it goes over the wire (RFC 5322): ASCII, lines ended by CRLF and by nothing else, so that no
 * server sees an end of data where another sees text. Blind copies are not in it. Nothing is read from a file or fetched.
 */
export async function buildMessage(plan: MailPlan, facts: MessageFacts): Promise<Buffer> {
  const composer = new MailComposer({
    from: mailbox(plan.from),
    to: plan.to.map(mailbox),
    cc: plan.cc.map(mailbox),
    subject: plan.subject,
    ...(plan.text === null ? {} : { text: plan.text }),
    ...(plan.html === null ? {} : { html: plan.html }),
    headers: plan.headers.map(([key, value]) => ({ key, value })),
    messageId: `<${facts.messageId}>`,
    date: new Date(facts.date),
    baseBoundary: facts.messageId.replace(/[^A-Za-z0-9]/g, "").slice(0, 40),
    textEncoding: "quoted-printable",
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const built = await composer.compile().build();
  const lines = built.toString("latin1").replace(/\r\n|\r|\n/g, "\r\n");
  return Buffer.from(lines.endsWith("\r\n") ? lines : `${lines}\r\n`, "latin1");
}

/** As an object: a text would be read once more, and may name several mailboxes then. */
function mailbox(address: string): { name: string; address: string } {
  return { name: "", address };
}
