import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

let lastUse = 0;

/** Notes the use of an entry: each later than the one before, however coarse the clock of the files is. */
function touch(file: string): void {
  lastUse = Math.max(Date.now(), lastUse + 1);
  utimesSync(file, lastUse / 1000, lastUse / 1000);
}

type Subscriber = (key: string | undefined, data: string | undefined) => void;

interface CacheOptions {
  namespace?: string;
  directory?: string;
  /** Bytes. */
  capacity?: number;
}

/**
 * `Cache` of @raycast/api: a file an entry in the support folder, so that all commands share it. The least recently used
 * entries go first when it is full. Methods are bound: @raycast/utils hands `subscribe` on by itself.
 */
export function makeCacheClass(supportPath: string): new (options?: CacheOptions) => unknown {
  const subscribersOf = new Map<string, Set<Subscriber>>();
  return class Cache {
    static readonly STORAGE_DIRECTORY_NAME = "com.raycast.api.cache";
    static readonly DEFAULT_CAPACITY = 10 * 1024 * 1024;
    readonly storageDirectory: string;
    private readonly capacity: number;
    private readonly subscribers: Set<Subscriber>;

    constructor({ namespace = "", directory, capacity = Cache.DEFAULT_CAPACITY }: CacheOptions = {}) {
      this.storageDirectory = join(directory ?? join(supportPath, Cache.STORAGE_DIRECTORY_NAME), namespace);
      this.capacity = capacity;
      this.subscribers = subscribersOf.get(this.storageDirectory) ?? new Set();
      subscribersOf.set(this.storageDirectory, this.subscribers);
    }

    get isEmpty(): boolean {
      return this.entries().length === 0;
    }

    get = (key: string): string | undefined => {
      const file = this.fileOf(key);
      try {
        const data = readFileSync(file, "utf8");
        touch(file);
        return data;
      } catch {
        return undefined;
      }
    };

    has = (key: string): boolean => statSync(this.fileOf(key), { throwIfNoEntry: false }) !== undefined;

    set = (key: string, data: string): void => {
      mkdirSync(this.storageDirectory, { recursive: true });
      const file = this.fileOf(key);
      const half = `${file}.${process.pid}`;
      writeFileSync(half, data);
      renameSync(half, file);
      touch(file);
      this.makeRoom();
      this.tell(key, data);
    };

    remove = (key: string): boolean => {
      const had = this.has(key);
      rmSync(this.fileOf(key), { force: true });
      if (had) this.tell(key, undefined);
      return had;
    };

    clear = ({ notifySubscribers = true }: { notifySubscribers?: boolean } = {}): void => {
      for (const { file } of this.entries()) rmSync(file, { force: true });
      if (notifySubscribers) this.tell(undefined, undefined);
    };

    subscribe = (subscriber: Subscriber): (() => void) => {
      this.subscribers.add(subscriber);
      return () => this.subscribers.delete(subscriber);
    };

    private fileOf(key: string): string {
      return join(this.storageDirectory, `${createHash("sha256").update(key).digest("hex")}.entry`);
    }

    private entries(): { file: string; size: number; usedAt: number }[] {
      let names: string[] = [];
      try {
        names = readdirSync(this.storageDirectory);
      } catch {
        // Nothing was ever kept.
      }
      return names
        .filter((name) => name.endsWith(".entry"))
        .flatMap((name) => {
          const file = join(this.storageDirectory, name);
          const found = statSync(file, { throwIfNoEntry: false });
          return found ? [{ file, size: found.size, usedAt: found.mtimeMs }] : [];
        })
        .sort((a, b) => a.usedAt - b.usedAt);
    }

    private makeRoom(): void {
      const entries = this.entries();
      let size = entries.reduce((sum, entry) => sum + entry.size, 0);
      for (const entry of entries.slice(0, -1)) {
        if (size <= this.capacity) return;
        rmSync(entry.file, { force: true });
        size -= entry.size;
      }
    }

    private tell(key: string | undefined, data: string | undefined): void {
      for (const subscriber of [...this.subscribers]) subscriber(key, data);
    }
  };
}
