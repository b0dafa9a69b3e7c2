const NEWLINE = 0x0a;
/** No record of ours is longer. Without a limit one long run of garbage would take all memory. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** Puts lines together from a file's bytes, however they are cut. Each byte is looked at and copied once. */
export class LineSplitter {
  private pieces: Buffer[] = [];
  private bytes = 0;

  /** The lines that end in these bytes, without their newlines; undefined for one that is too long. */
  *feed(chunk: Buffer): Generator<Buffer | undefined> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.keep(chunk.subarray(start, end));
      yield this.take();
      start = end + 1;
    }
    this.keep(chunk.subarray(start));
  }

  /** What came after the last newline; undefined where it is too long. */
  take(): Buffer | undefined {
    const line = this.bytes > MAX_LINE_BYTES ? undefined : this.joined();
    this.pieces = [];
    this.bytes = 0;
    return line;
  }

  private joined(): Buffer {
    const [first] = this.pieces;
    return first && this.pieces.length === 1 ? first : Buffer.concat(this.pieces);
  }

  private keep(piece: Buffer): void {
    this.bytes += piece.length;
    if (this.bytes > MAX_LINE_BYTES) this.pieces = [];
    else if (piece.length > 0) this.pieces.push(piece);
  }
}
