import { toIdentityUri } from '../domain/peer-identity.ts';
import type { PullSource } from '../domain/pull-source.ts';
import type { ContentChannel } from './source-connection.ts';

/** A channel, and how many downloads use it. */
interface SharedChannel {
  readonly channel: ContentChannel;
  userCount: number;
}

/**
 * Downloads that use one channel at most: with all their streams and watches they stay below what a
 * server takes on one connection (`streamsMax` of the RPC limits).
 */
const usersMax = 8;

/** Channels to sources, used by several downloads at once: packages often have the same sources. */
export class SharedChannels {
  readonly #connect: (source: PullSource) => ContentChannel;
  /** By identity and address. */
  readonly #channels = new Map<string, Set<SharedChannel>>();

  constructor(connect: (source: PullSource) => ContentChannel) {
    this.#connect = connect;
  }

  /** A channel to a source; the last one who closes it ends its connection. */
  open(source: PullSource): ContentChannel {
    const key = `${toIdentityUri(source.identity)} ${source.address}`;
    const all = this.#channels.get(key) ?? new Set();
    const free = [...all].find(({ userCount }) => userCount < usersMax);
    const shared = free ?? { channel: this.#connect(source), userCount: 0 };
    shared.userCount += 1;
    this.#channels.set(key, all.add(shared));
    return usedBy(shared.channel, () => {
      shared.userCount -= 1;
      if (shared.userCount > 0) return;
      all.delete(shared);
      if (all.size === 0 && this.#channels.get(key) === all) this.#channels.delete(key);
      shared.channel.close();
    });
  }
}

function usedBy(channel: ContentChannel, end: () => void): ContentChannel {
  let isClosed = false;
  return {
    serverStream: (method, request, options) => channel.serverStream(method, request, options),
    duplex: (method, options) => channel.duplex(method, options),
    whenReachable: (signal) => channel.whenReachable(signal),
    close: () => {
      if (!isClosed) end();
      isClosed = true;
    },
  };
}
