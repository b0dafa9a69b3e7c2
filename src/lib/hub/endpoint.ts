import { TorbizError } from "../errors";

const HUGGING_FACE = "https://huggingface.co";

/**
 * The address of the model hub: HF_ENDPOINT, as the hub's own library names it, else Hugging Face's. Without a slash at its
 * end.
 *
 * @throws TorbizError hub-unreachable for what is no address, or holds a secret: it is handed on where others can read it
 */
export function hubEndpoint(env: NodeJS.ProcessEnv): string {
  const text = env.HF_ENDPOINT?.trim() || HUGGING_FACE;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const why =
    !url || (url.protocol !== "http:" && url.protocol !== "https:")
      ? "is no address of a server"
      : url.username || url.password
        ? "holds a name or a password"
        : undefined;
  if (!url || why) {
    throw new TorbizError("hub-unreachable", `The address of the model hub ${why}.`, {
      hint: "Set HF_ENDPOINT to an address such as https://huggingface.co, or to nothing.",
    });
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

/** The page on which people read of a model, and ask for access. */
export function pageOf(repository: string, env: NodeJS.ProcessEnv): string {
  return `${hubEndpoint(env)}/${repository}`;
}
