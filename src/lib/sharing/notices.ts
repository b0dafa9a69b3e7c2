import type { SharingStatus } from "./status";

/** Something a person should know of a share that serves. */
export interface Notice {
  title: string;
  /** What is so and what to do, in a sentence or two. */
  text: string;
}

/** By the seeder's own codes; the same as `Notice` in `python/torbiz/status.py`. */
const NOTICES: Readonly<Record<string, Notice>> = {
  unreachable: {
    title: "Reached by Nobody",
    text: "Peers can't reach this computer now. It goes on by itself when they can again. To be reached directly, forward its port in your router, and name the router's address when you share.",
  },
  relayed: {
    title: "Reached Through Relays",
    text: "Peers reach this computer through relays only, which is slow. To be reached directly, forward its port in your router, and name the router's address when you share.",
  },
  slow: {
    title: "Slow for This Model",
    text: "A swarm of computers like this one would answer with less than one token a second. Share a smaller model, or give Docker more processors.",
  },
  "out-of-memory": {
    title: "No Memory for a Session",
    text: "Somebody was turned away in the last ten minutes, as others had taken all the room that a server has for sessions (8192 tokens). Who finds none asks another peer: there is nothing to do.",
  },
  moved: {
    title: "Serves Other Blocks",
    text: "It moved to other blocks, which the swarm needed more. There is nothing to do.",
  },
  clock: {
    title: "Clocks Differ",
    text: "This computer's clock and the swarm's are more than 3 seconds apart: peers may not find it. Set the clock by the network's time. Docker's own can be behind after a sleep: restart Docker then.",
  },
};

/** A share's notices in words. Codes of a newer seeder are left out: nobody here knows what they mean. */
export function noticesOf({ notices }: Pick<SharingStatus, "notices">): Notice[] {
  return notices.map((code) => NOTICES[code]).filter((notice) => notice !== undefined);
}
