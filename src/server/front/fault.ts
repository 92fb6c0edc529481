import { STATUS_CODES } from "node:http";
import { LatchGateError } from "../../core/errors.ts";

/** A request that is answered with an error before, or instead of, a handler's answer. */
export class HttpFault extends LatchGateError {
  readonly status: number;

  constructor(
    status: number,
    code: string,
    message: string,
    options: { hint?: string; cause?: unknown } = {},
  ) {
    super(code, message, options);
    this.status = status;
  }

  /** The error envelope: `{"error","message","hint"?}`. */
  body(): string {
    return JSON.stringify({
      error: this.code,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
    });
  }

  /** The whole answer, for connections whose parser has given up. */
  bytes(): string {
    const body = this.body();
    return (
      `HTTP/1.1 ${this.status} ${STATUS_CODES[this.status] ?? "Error"}\r\n` +
      "content-type: application/json\r\ncache-control: no-store\r\n" +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
    );
  }
}

/** The client went away before its request was whole; there is nobody to answer. */
export class ClientGone extends LatchGateError {
  constructor() {
    super("client_gone", "the client closed its connection");
  }
}

export function internalFault(): HttpFault {
  return new HttpFault(500, "internal_error", "the gate failed to answer this request");
}

/** What the parser's error code means to the client. Its own message is not passed on. */
export function parserFault(code: string, headerBytes: number): HttpFault {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return new HttpFault(431, "headers_too_large", `request line and headers exceed ${headerBytes} bytes`);
    case "HPE_INVALID_VERSION":
    case "HPE_PAUSED_H2_UPGRADE":
      return httpVersionFault();
    case "HPE_INVALID_EOF_STATE":
      return new HttpFault(400, "bad_request", "the request ended early");
    case "HPE_INVALID_METHOD":
      return new HttpFault(400, "bad_request", "this is not an http request with a known method");
    default:
      return new HttpFault(400, "bad_request", "the request is not valid http/1.1");
  }
}

export function httpVersionFault(): HttpFault {
  return new HttpFault(
    505,
    "http_version_not_supported",
    "only http/1.1 is spoken here, in lines that end in CR LF",
  );
}
