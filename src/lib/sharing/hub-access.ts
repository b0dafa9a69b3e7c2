import type { EngineContext } from "../context";
import { readConfig } from "../docker/endpoint";
import { isRecord } from "../json";
import { ownAuthorities, proxySettings, type ProxySettings } from "../web";

/** How a container reaches the model hub. */
export interface HubAccess {
  /** The line for the seeder's stdin, which may hold secrets: `HubAccess` in python/torbiz/seeder.py. */
  input: string;
  /** Its proxy is on this computer itself, so the container needs a name for that. */
  usesHost: boolean;
}

/** This computer, as Docker Desktop calls it in its containers; another engine has to be told the name. */
export const HOST_NAME = "host.docker.internal";

/**
 * What a container can't see by itself: a token, the proxy that the docker command would give it, else this computer's, and
 * whom this computer trusts besides Mozilla's authorities. Undefined where there is nothing to tell.
 */
export async function hubAccess(
  context: Pick<EngineContext, "env" | "home" | "platform" | "endpoint">,
  token?: string,
): Promise<HubAccess | undefined> {
  const settings = (await dockersProxies(context)) ?? (await proxySettings(context));
  const named = Object.entries(settings.proxies).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const proxies = Object.fromEntries(named.map(([scheme, address]) => [scheme, fromContainer(address)]));
  const authorities = ownAuthorities(context.env).join("\n");
  if (token === undefined && named.length === 0 && !authorities) return undefined;
  const usesHost = named.some(([scheme, address]) => proxies[scheme] !== address);
  const told = { token, proxies: { ...proxies, no: settings.exceptions.join(",") }, authorities };
  return { input: `${JSON.stringify(told)}\n`, usesHost };
}

/** The docker command sets these as variables of its containers (`ParseProxyConfig` in docker/cli); its engine doesn't. */
async function dockersProxies(
  context: Pick<EngineContext, "env" | "home" | "platform" | "endpoint">,
): Promise<ProxySettings | undefined> {
  const config = await readConfig(context);
  const all = isRecord(config) && isRecord(config.proxies) ? config.proxies : {};
  const found = all[context.endpoint.url] ?? all.default;
  if (!isRecord(found)) return undefined;
  const [http, https, any, no = ""] = ["httpProxy", "httpsProxy", "allProxy", "noProxy"].map((name) =>
    typeof found[name] === "string" ? found[name] : undefined,
  );
  return http || https || any ? { proxies: { http, https, all: any }, exceptions: no.split(",") } : undefined;
}

/** A loopback address means the container itself there. */
function fromContainer(proxy: string): string {
  return proxy.replace(
    /^((?:\w+:\/\/)?(?:[^/]*@)?)(?![^/]*@)(?:localhost|127(?:\.\d+){3}|\[::1\])(?=[:/]|$)/i,
    `$1${HOST_NAME}`,
  );
}
