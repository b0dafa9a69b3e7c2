import { userInfo } from "node:os";
import type { Surroundings } from "./context";

/** Settings whose values are nobody else's business. */
const SECRET_NAME = /TOKEN|KEY|SECRET|PASSW/i;
/** What stands for a secret of less than that many characters stands for much else, too. */
const SHORTEST_SECRET = 8;
/** Names that tell nothing of a person, and are words of every log. */
const EVERYBODYS = ["root", "admin", "user", "torbiz", "petals", "docker", "python"];
/** Tokens as their makers write them, and what headers, settings and addresses name as secret. Each takes linear time. */
const TOKENS: readonly [RegExp, string][] = [
  [/\b(?:hf|sk|ghp|gho|github_pat|xox[abp])[_-][\w-]{8,}/g, "[token]"],
  // Glued to other text; so long that it is no word such as "hf_checkpoint".
  [/(?:hf|gh[po])_[A-Za-z0-9]{16,}/g, "[token]"],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, "$1 [token]"],
  [/([?&][\w.-]{0,40}(?:token|key|secret|passw\w{0,5}|sig|signature|credential)=)[^\s&#"'<>]+/gi, "$1[token]"],
  [
    /((?:api[_-]?key|(?:access|auth|[_-])[_-]?(?:token|key)|secret|passw(?:or)?d)["']?[ \t]*[:=][ \t]*["']?)(?!\[token\])[^\s"',;&]+/gi,
    "$1[token]",
  ],
];
/** What follows a scheme. */
const ADDRESS = /:\/\/([^\s"<>]+)/g;
/** It begins with a host, not with who logs in. */
const HOST_FIRST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?(?:[/?#]|$)/i;

/**
 * Takes out of a text what tells who somebody is or lets others in: tokens, the values of secret settings, the home
 * folder ("~") and the user's name. For what leaves this computer by a person's hand, such as a report or an exported log.
 *
 * @example
 * redactor({ env: {}, home: "/Users/ada" })("/Users/ada/models"); // "~/models"
 */
export function redactor(
  { env, home }: Pick<Surroundings, "env" | "home">,
  user: string = userName(),
): (text: string) => string {
  const secrets = Object.entries(env)
    .flatMap(([name, value]) => (SECRET_NAME.test(name) && value && value.length >= SHORTEST_SECRET ? [value] : []))
    .sort((a, b) => b.length - a.length);
  const name = EVERYBODYS.includes(user) ? "" : user;
  return (text) => {
    let clean = text;
    for (const secret of secrets) clean = clean.replaceAll(secret, "[token]");
    clean = clean.replace(ADDRESS, withoutLogin);
    for (const [pattern, instead] of TOKENS) clean = clean.replace(pattern, instead);
    if (home.length > 1) clean = clean.replace(new RegExp(`${escapeText(home)}(?![\\w-])`, "g"), "~");
    if (name)
      clean = clean.replace(new RegExp(`(?<![\\p{L}\\p{N}_])${escapeText(name)}(?![\\p{L}\\p{N}_])`, "gu"), "[user]");
    return clean;
  };
}

/** "" where there is none: a container may run as a number that no user has. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "";
  }
}

/** A password may have any sign in it: what follows the last "@" is the host. */
function withoutLogin(address: string, rest: string): string {
  const at = rest.lastIndexOf("@");
  return at < 0 || HOST_FIRST.test(rest) ? address : `://[login]${rest.slice(at)}`;
}

function escapeText(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
