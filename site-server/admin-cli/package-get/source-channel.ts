import { toIdentityUri } from '../../../shared/domain/peer-identity.ts';
import { type PullSource, sourceInWords } from '../../../shared/domain/pull-source.ts';
import type { ResponseOf } from '../../../shared/rpc/conversation.ts';
import type { PeerCredentials } from '../../../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../../../shared/rpc/rpc-channel.ts';

type FetchResponse = ResponseOf<'Content', 'fetch'>;

/** As much of a channel as fetches content. */
export type SourceChannel = Pick<
  RpcChannel<'Content'>,
  'serverStream' | 'duplex' | 'whenReachable' | 'close'
>;

/**
 * A channel to a source, which must show the very identity that the location names.
 *
 * @param onReceived hears how many content bytes came, right or wrong
 */
export function openSourceChannel(
  source: PullSource,
  credentials: PeerCredentials,
  onReceived: (bytes: number) => void,
): SourceChannel {
  const identity = toIdentityUri(source.identity);
  const channel = new RpcChannel({
    conversation: 'Content',
    address: source.address,
    expected: (peer) => toIdentityUri(peer) === identity,
    expectedText: sourceInWords(source.identity),
    credentials,
  });
  return {
    serverStream: (method, request, options) => channel.serverStream(method, request, options),
    duplex: (method, options) =>
      withListener(channel.duplex(method, options), (response) => {
        if (response) onReceived(contentBytesOf(response));
      }),
    whenReachable: (signal) => channel.whenReachable(signal),
    close: () => channel.close(),
  };
}

/** The call itself, from now on telling what it reads: its class has no place for a listener. */
export function withListener<T, C extends { read(): Promise<T> }>(
  call: C,
  onRead: (response: T) => void,
): C {
  const read = call.read.bind(call);
  return Object.assign(call, {
    read: async () => {
      const response = await read();
      onRead(response);
      return response;
    },
  });
}

/** Content bytes in a response. */
export function contentBytesOf({ body, piece, files }: FetchResponse): number {
  if (body === 'piece') return piece?.data.length ?? 0;
  if (body !== 'files') return 0;
  return (files?.files ?? []).reduce((sum, { data }) => sum + data.length, 0);
}
