import { searchPath } from "../exec";

/** What any program needs to know of the user's session. Not among it: tokens and other secrets, and PYTHON* settings. */
const USUAL = /^(HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP)$/;

/** How programs reach the network: proxies and certificates. */
export const DOWNLOAD_SETTINGS =
  /^((https?|ftp|all|no)_proxy|SSL_CERT_\w+|(REQUESTS|CURL)_CA_BUNDLE|NODE_EXTRA_CA_CERTS|NETRC|XDG_\w+)$/i;

/**
 * The environment for a Python that we start: what it needs and no more.
 *
 * @param wanted further names to pass on
 */
export function pythonEnv(env: NodeJS.ProcessEnv, home: string, wanted?: RegExp): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => USUAL.test(name) || wanted?.test(name));
  return { ...Object.fromEntries(kept), ...withoutProxy(kept), PATH: searchPath(env, home), PYTHONUTF8: "1" };
}

/**
 * This computer is never reached through a proxy. Without one it isn't said: a Mac's settings, which hold what is to be
 * reached without theirs, count for Python only where no variable is set.
 */
function withoutProxy(kept: [string, string | undefined][]): NodeJS.ProcessEnv {
  if (!kept.some(([name, value]) => value && /^(https?|all)_proxy$/i.test(name))) return {};
  const others = kept.find(([name, value]) => value && /^no_proxy$/i.test(name))?.[1];
  // An asterisk means every host only where it is alone.
  const all = others === "*" ? others : [others, "localhost", "127.0.0.1", "::1"].filter(Boolean).join(",");
  return { NO_PROXY: all, no_proxy: all };
}
