import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { resolvePaths } from "../src/lib/paths";
import { ensureChromium, photograph } from "./preview/chromium";

/** Makes assets/icon.png of media/icon.svg: `node --import tsx scripts/render-icon.ts` after each change of the drawing. */
async function main(): Promise<void> {
  const root = join(import.meta.dirname, "..");
  const chromium = await ensureChromium({
    env: process.env,
    home: homedir(),
    platform: process.platform,
    paths: resolvePaths(),
    onProgress: ({ message }) => console.error(message),
  });
  const drawing = await readFile(join(root, "media", "icon.svg"), "utf8");
  const page = `<!doctype html><style>body { margin: 0 } svg { display: block }</style>${drawing}`;
  await photograph(chromium, page, join(root, "assets", "icon.png"), { width: 512, height: 512, scale: 1 });
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
