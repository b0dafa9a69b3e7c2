import { TorbizError } from "../errors";

/** The engine hands files over as tar archives. These hold one small file each: no package is needed for that. */

const BLOCK = 512;
/** Where a header's fields begin, and how long they are (POSIX ustar). */
const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  size: [124, 12],
  checksum: [148, 8],
  type: [156, 1],
  magic: [257, 8],
} as const;

/** An archive with one file that everybody may read. @param name at most 100 bytes, without folders */
export function packFile(name: string, content: string): Buffer {
  const data = Buffer.from(content);
  const header = Buffer.alloc(BLOCK);
  const write = (field: keyof typeof FIELDS, text: string) => header.write(text, FIELDS[field][0], "latin1");
  write("name", name);
  write("mode", "0000644\0");
  write("size", `${data.length.toString(8).padStart(11, "0")}\0`);
  write("type", "0");
  write("magic", "ustar\x0000");
  // The checksum counts itself as spaces.
  write("checksum", " ".repeat(FIELDS.checksum[1]));
  const sum = header.reduce((total, byte) => total + byte, 0);
  write("checksum", `${sum.toString(8).padStart(6, "0")}\0 `);
  const padding = Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK);
  // Two empty blocks end an archive.
  return Buffer.concat([header, data, padding, Buffer.alloc(2 * BLOCK)]);
}

/**
 * The content of an archive's first file; headers that only add to the next one (long names, times) are passed over.
 * @throws TorbizError docker-unexpected-answer when it isn't such an archive
 */
export function unpackFile(archive: Buffer): Buffer {
  for (let at = 0; at + BLOCK <= archive.length;) {
    const field = (name: keyof typeof FIELDS) => {
      const [start, length] = FIELDS[name];
      return archive.toString("latin1", at + start, at + start + length);
    };
    const size = /^[0-7]+/.exec(field("size").trim())?.[0];
    if (!field("magic").startsWith("ustar") || size === undefined) break;
    const begin = at + BLOCK;
    const end = begin + Number.parseInt(size, 8);
    if (end > archive.length) break;
    if (field("type") === "0" || field("type") === "\0") return archive.subarray(begin, end);
    at = begin + Math.ceil((end - begin) / BLOCK) * BLOCK;
  }
  throw new TorbizError("docker-unexpected-answer", "Docker's copy of a file isn't in the format it should have.");
}
