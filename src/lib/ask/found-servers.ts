/** A server on this computer that speaks OpenAI's interface. */
export interface FoundServer {
  /** The program's name for people, by its usual port. */
  title: string;
  baseUrl: string;
  /** Ids, in the server's order. Never empty: a server without a model can't answer. */
  models: string[];
}

/** Where to look for a server. */
export interface ServerPlace {
  title: string;
  baseUrl: string;
}

export interface FoundServersOptions {
  places?: readonly ServerPlace[];
  /** How long each may take to answer, milliseconds. */
  limitMs?: number;
}

/** The servers that run at their usual places on this computer. */
export async function foundServers({ places = [] }: FoundServersOptions = {}): Promise<FoundServer[]> {
  return Promise.resolve(places.map((place) => ({ ...place, models: [] })));
}
