import { version } from "../../package.json";

/** The version of this program, as `package.json` states it. */
export const VERSION: string = version;
