import { defaultModel } from "../../src/lib/models";
import { exec } from "./torbiz";

/** Petals' own client, which knows nothing of this project: who serves each block, by its peer. */
const BARE = `
import json, sys
from torbiz import petals_compat
from hivemind.dht import DHT
from petals.client.routing.sequence_info import RemoteSequenceInfo
from petals.utils.dht import get_remote_module_infos
address, prefix, blocks = sys.argv[1:]
uids = [f"{prefix}.{block}" for block in range(int(blocks))]
info = RemoteSequenceInfo.make_empty(uids)
info.update_(get_remote_module_infos(DHT(initial_peers=[address], client_mode=True, start=True), uids, latest=True))
print(json.dumps([[span.peer_id.to_base58() for span in spans] for spans in info.spans_containing_block]))
`;

/** The peers that serve each block of the starter model, as that client reads them in a container that shares. */
export async function bareClient(docker: string, container: string, address: string): Promise<string[][]> {
  const { dhtPrefix, blocks } = defaultModel;
  const python = ["python", "-W", "ignore", "-c", BARE, address, dhtPrefix, String(blocks)];
  const { stdout } = await exec(docker, ["exec", container, ...python]);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as string[][];
}
