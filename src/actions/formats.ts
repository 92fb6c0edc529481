import { isIP } from "node:net";
import type { Format } from "ajv/dist/2020";
import { parseTargetUrl } from "../core/url.ts";

const HOST =
  /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
const UUID = /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const TIME = /^([01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,9})?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;
/** The dot-atom form of RFC 5321 §4.1.2: no quoted local parts, no comments, no address literals. */
const EMAIL_LOCAL = /^(?=.{1,64}$)[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/;

/** RFC 3339 §5.6 full-date, with the days that the month has. */
function isDate(text: string): boolean {
  const match = DATE.exec(text);
  if (match === null) return false;
  const at = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text);
}

/** An http or https URL, by the parser that the plan will use. */
function isUri(text: string): boolean {
  try {
    parseTargetUrl(text);
    return true;
  } catch {
    return false;
  }
}

/** The formats that a schema may name; they are asserted. Every one takes time linear in the text. */
export const FORMATS: Readonly<Record<string, Format>> = {
  date: isDate,
  time: TIME,
  "date-time": (text: string) =>
    /^.{10}[Tt ]/.test(text) && isDate(text.slice(0, 10)) && TIME.test(text.slice(11)),
  email: (text: string) => {
    const at = text.lastIndexOf("@");
    return at > 0 && EMAIL_LOCAL.test(text.slice(0, at)) && HOST.test(text.slice(at + 1));
  },
  hostname: HOST,
  ipv4: (text: string) => isIP(text) === 4,
  ipv6: (text: string) => isIP(text) === 6 && !text.includes("%"),
  uri: isUri,
  uuid: UUID,
};
