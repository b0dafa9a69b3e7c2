import { setTimeout as sleep } from "node:timers/promises";

/** For what really takes long: a build, a start. */
export const LONG = { timeoutMs: 300_000 };
/** Share GPU shows it as soon as peers can use a share. */
export const ONLINE = "Status · Sharing";

/** What a launcher hands to its commands, and what this machine's builds need besides. */
export function commandEnv(): NodeJS.ProcessEnv {
  const passed = Object.entries(process.env).filter(([name]) =>
    /^(HOME|TORBIZ_|PIP_|SSL_CERT_FILE|TORCH_INDEX_URL)/.test(name),
  );
  return Object.fromEntries(passed);
}

/** Until what another command does at the same time is seen. */
export async function eventually(check: () => void): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(100)) {
    try {
      return check();
    } catch {
      // Not yet.
    }
  }
  check();
}
