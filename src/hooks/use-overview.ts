import { useCallback, useEffect, useRef, useState, type Dispatch, type SetStateAction } from "react";
import { toTorbizError, type TorbizError } from "../lib/errors";
import { OverviewReader, type Overview } from "../lib/sharing/overview";
import { extensionSurroundings } from "./extension-surroundings";

const LOOK_MS = 1_000;

interface Seen {
  /** What the last look saw; undefined until there was one. It stays while the next look runs. */
  overview?: Overview;
  /** Why looking itself fails, such as a home folder that can't be written. */
  error?: TorbizError;
  /** What people should know of the look that runs, such as why it takes long. */
  notice?: string;
}

interface UseOverview extends Seen {
  /** Looks at once; resolves when what it saw is on its way to the screen. */
  refresh: () => Promise<void>;
  /** Begins anew, by settings that have changed. */
  restart: () => void;
}

/**
 * Looks about once a second at Docker, the image and the share. One look at a time: a slow engine is asked less often.
 *
 * @example
 * const { overview, error, refresh } = useOverview();
 */
export function useOverview(): UseOverview {
  const [seen, setSeen] = useState<Seen>({});
  const [generation, setGeneration] = useState(0);
  const watching = useRef<Watch>(undefined);

  useEffect(() => {
    const watch = new Watch(setSeen);
    watching.current = watch;
    void watch.run();
    return () => watch.end();
  }, [generation]);

  const refresh = useCallback(() => watching.current?.lookNow() ?? Promise.resolve(), []);
  const restart = useCallback(() => setGeneration((count) => count + 1), []);
  return { ...seen, refresh, restart };
}

class Watch {
  private ended = false;
  private waiting: Array<() => void> = [];
  private wake: () => void = () => undefined;
  private reader?: OverviewReader;

  constructor(private readonly onSeen: Dispatch<SetStateAction<Seen>>) {}

  async run(): Promise<void> {
    while (!this.ended) {
      const served = this.waiting.splice(0);
      this.show(await this.look());
      served.forEach((resolve) => resolve());
      if (this.waiting.length === 0 && !this.ended) await this.rest();
    }
    this.waiting.forEach((resolve) => resolve());
  }

  lookNow(): Promise<void> {
    if (this.ended) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.wake();
    });
  }

  end(): void {
    this.ended = true;
    this.wake();
  }

  private async look(): Promise<Seen> {
    try {
      const warn = (notice: string) => this.show((seen) => ({ ...seen, notice }));
      this.reader ??= new OverviewReader({ ...extensionSurroundings(), warn });
      return { overview: await this.reader.look() };
    } catch (error) {
      return { error: toTorbizError(error) };
    }
  }

  private show(seen: SetStateAction<Seen>): void {
    if (!this.ended) this.onSeen(seen);
  }

  private rest(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LOOK_MS);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
