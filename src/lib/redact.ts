import { userInfo } from "node:os";
import type { Surroundings } from "./context";

/** Settings whose values are nobody else's business. */
const SECRET_NAME = /TOKEN|KEY|SECRET|PASSW/i;
/** What stands for a secret of less than that many characters stands for much else, too. */
const SHORTEST_SECRET = 8;
/** Names that tell nothing of a person, and are words of every log. */
const EVERYBODYS = ["root", "admin", "user", "torbiz", "petals", "docker", "python"];
/** Tokens as their makers write them, keys of a header, and who logs in by an address. */
const TOKENS: readonly [RegExp, string][] = [
  [/\b(?:hf|sk|ghp|gho|github_pat|xox[abp])[_-][\w-]{8,}/g, "[token]"],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, "$1 [token]"],
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@:]+:[^\s/@]+@/gi, "$1[login]@"],
];

/**
 * Takes out of a text what tells who somebody is or lets others in: tokens, the values of secret settings, the home
 * folder ("~") and the user's name. For what leaves this computer by a person's hand, such as a report or an exported log.
 *
 * @example
 * redactor({ env: {}, home: "/Users/ada" })("/Users/ada/models"); // "~/models"
 */
export function redactor(
  { env, home }: Pick<Surroundings, "env" | "home">,
  user: string = userInfo().username,
): (text: string) => string {
  const secrets = Object.entries(env)
    .flatMap(([name, value]) => (SECRET_NAME.test(name) && value && value.length >= SHORTEST_SECRET ? [value] : []))
    .sort((a, b) => b.length - a.length);
  const name = EVERYBODYS.includes(user) ? "" : user;
  return (text) => {
    let clean = text;
    for (const secret of secrets) clean = clean.replaceAll(secret, "[token]");
    for (const [pattern, instead] of TOKENS) clean = clean.replace(pattern, instead);
    if (home.length > 1) clean = clean.replace(new RegExp(`${escapeText(home)}(?![\\w-])`, "g"), "~");
    if (name)
      clean = clean.replace(new RegExp(`(?<![\\p{L}\\p{N}_])${escapeText(name)}(?![\\p{L}\\p{N}_])`, "gu"), "[user]");
    return clean;
  };
}

function escapeText(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
