import { Client } from '@grpc/grpc-js';
import { toChannelCredentials } from '../../shared/rpc/mutual-tls.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';

/** A gRPC client as other tools have it: our certificate, none of RpcChannel's manners. */
export function foreignClient(address: string, credentials: PeerCredentials): Client {
  return new Client(
    address,
    toChannelCredentials(credentials, () => undefined),
    {
      'grpc.ssl_target_name_override': 'waybill.invalid',
      'grpc.max_send_message_length': -1,
    },
  );
}
