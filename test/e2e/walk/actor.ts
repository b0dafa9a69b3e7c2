import { openEngine, openSurroundings } from "../../../src/lib/context";
import { toTorbizError } from "../../../src/lib/errors";
import { finishSharing } from "../../../src/lib/sharing/finish";
import { peekStatus } from "../../../src/lib/sharing/peek";
import { share } from "../../../src/lib/sharing/share";
import { stopSharing } from "../../../src/lib/sharing/stop";
import { ROOT } from "../torbiz";

/**
 * A process that does what its parent tells it, one thing at a time, as a command would: `{ act }` in; out come `{ begun }`,
 * when the wish is on record, then `{ said }` or `{ code, said }`.
 */

export const ACTS = {
  share: async (context) => (await share(context)).status.state,
  stop: async (context) => (await stopSharing(context)).message,
  "stop --now": async (context) => (await stopSharing(context, { now: true })).message,
  finish: async (context) => (await finishSharing(context)).message,
  status: async (context) => (await peekStatus(context)).state,
} satisfies Record<string, (context: Awaited<ReturnType<typeof openEngine>>) => Promise<string>>;

export type Act = keyof typeof ACTS;

export type Word = { begun: true } | { code?: string; said: string };

const tell = (word: Word) => process.send?.(word);

process.on("message", (act: Act) => {
  void (async () => {
    try {
      const context = await openEngine(openSurroundings({ runtimeFiles: ROOT }));
      const done = ACTS[act](context);
      tell({ begun: true });
      tell({ said: await done });
    } catch (error) {
      const { code, message } = toTorbizError(error);
      tell({ code, said: message });
    }
  })();
});
