import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { TorbizError } from "../../src/lib/errors";
import { findDebian, installPackages } from "../../src/lib/setup/debian";
import { findCommand, type SetUpSurroundings } from "../../src/lib/setup/surroundings";

const COMMANDS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const MAC_APPS = ["Google Chrome", "Chromium", "Microsoft Edge", "Brave Browser"];

/** What the pages are set in: without these fonts Debian draws all text in DejaVu. */
const DEBIAN_PACKAGES = ["chromium", "fonts-inter", "fonts-jetbrains-mono", "fonts-noto-color-emoji"];
const DEBIAN_FONTS = ["opentype/inter", "truetype/jetbrains-mono", "truetype/noto/NotoColorEmoji.ttf"];

/**
 * A Chromium: this machine's, or on Debian as root one that is installed.
 * @throws TorbizError setup-failed when there is none
 */
export async function ensureChromium(surroundings: SetUpSurroundings): Promise<string> {
  const debian = await findDebian(surroundings);
  const found = await findChromium(surroundings);
  if (found && (!debian || DEBIAN_FONTS.every((font) => existsSync(join("/usr/share/fonts", font))))) return found;
  if (debian) await installPackages(surroundings, DEBIAN_PACKAGES);
  const chromium = found ?? (await findChromium(surroundings));
  if (chromium) return chromium;
  throw new TorbizError("setup-failed", "Pictures are taken by Chromium, and there is none on this computer.", {
    hint: "Install Chromium or Google Chrome, then try again.",
  });
}

async function findChromium(surroundings: SetUpSurroundings): Promise<string | undefined> {
  for (const command of COMMANDS) {
    const path = await findCommand(surroundings, command);
    if (path) return path;
  }
  if (surroundings.platform !== "darwin") return undefined;
  const folders = ["/Applications", join(surroundings.home, "Applications")];
  const apps = folders.flatMap((folder) => MAC_APPS.map((app) => join(folder, `${app}.app`, "Contents", "MacOS", app)));
  return apps.find((path) => existsSync(path));
}

/** The size of a picture: a page of so many CSS pixels, each of `scale` by `scale` pixels. */
export interface PictureSize {
  width: number;
  height: number;
  scale: number;
}

/**
 * Has Chromium draw a page into a PNG file. What the page doesn't paint is transparent.
 * @param html the whole page; it can name no other files
 */
export async function photograph(chromium: string, html: string, png: string, size: PictureSize): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "torbiz-picture-"));
  try {
    const file = join(folder, "page.html");
    await writeFile(file, html);
    // Chromium refuses its sandbox to root.
    const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    const args = [
      ...["--headless", "--disable-gpu", "--hide-scrollbars", "--default-background-color=00000000", ...sandbox],
      ...[`--user-data-dir=${join(folder, "profile")}`, `--force-device-scale-factor=${size.scale}`],
      ...[`--window-size=${size.width},${size.height}`, `--screenshot=${png}`, `file://${file}`],
    ];
    await execa(chromium, args, { stdin: "ignore", timeout: 60_000 });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
