import { Cache } from "@raycast/api";

const KEY = "docker-host";

const settings = () => new Cache({ namespace: "settings" });

/** The socket that a person chose for Torbiz, as a URL; undefined where Torbiz is to find one. The preference outranks it. */
export function chosenSocket(): string | undefined {
  return settings().get(KEY);
}

/** Keeps the choice for all commands; undefined forgets it. */
export function chooseSocket(url: string | undefined): void {
  if (url === undefined) settings().remove(KEY);
  else settings().set(KEY, url);
}
