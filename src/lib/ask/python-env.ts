import { searchPath } from "../exec";

/** What any program needs to know of the user's session. Not among it: tokens and other secrets, and PYTHON* settings. */
const USUAL = /^(HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP)$/;

/** How programs that download reach the network: proxies and certificates. */
export const DOWNLOAD_SETTINGS =
  /^((https?|ftp|all|no)_proxy|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NETRC|XDG_\w+)$/i;

/**
 * The environment for a Python that we start: what it needs and no more.
 *
 * @param wanted further names to pass on
 */
export function pythonEnv(env: NodeJS.ProcessEnv, home: string, wanted?: RegExp): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => USUAL.test(name) || wanted?.test(name));
  return { ...Object.fromEntries(kept), PATH: searchPath(env, home), PYTHONUTF8: "1" };
}
