import { constants } from 'node:crypto';
import type { SecureServerOptions } from 'node:http2';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import type { PeerIdentity } from '../domain/peer-identity.ts';
import { certifiedPeerOf } from './certificate-identity.ts';
import type { PeerCredentials } from './peer-credentials.ts';
import {
  frameBytesMax,
  handshakeMsMax,
  headerCountMax,
  invalidFramesMax,
  metadataBytesMax,
  settingsMax,
  smallWindowBytes,
  streamsMax,
} from './rpc-limits.ts';

/** AES-128 first: as safe here as the others, and the fastest on every CPU with AES instructions. */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
].join(':');

function toContextOptions(credentials: PeerCredentials): SecureContextOptions {
  return {
    ca: credentials.ca,
    cert: credentials.certificate,
    key: credentials.key,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers,
  };
}

/** TLS 1.3 that takes only callers with a certificate of our CA, and HTTP/2 with our limits. */
export class MutualTlsServerCredentials extends ServerCredentials {
  constructor(credentials: PeerCredentials) {
    super(serverOptions, {
      ...toContextOptions(credentials),
      honorCipherOrder: true,
      // A resumed session would skip the check of the caller's certificate.
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

const serverOptions: SecureServerOptions = {
  requestCert: true,
  rejectUnauthorized: true,
  handshakeTimeout: handshakeMsMax,
  unknownProtocolTimeout: handshakeMsMax,
  maxSettings: settingsMax,
  maxSessionInvalidFrames: invalidFramesMax,
  maxHeaderListPairs: headerCountMax,
  settings: {
    // The window of each stream; grpc-js has no option for it. guarded-connection.ts opens it for sites.
    initialWindowSize: smallWindowBytes,
    maxFrameSize: frameBytesMax,
    maxConcurrentStreams: streamsMax,
    maxHeaderListSize: metadataBytesMax,
  },
};

/**
 * Our side of a connection to a server: our certificate, TLS 1.3, and the server's certificate of
 * our CA. Who the server is decides `refuse`, from the identity in its certificate; host names do
 * not matter, so agents may move.
 *
 * @param refuse gets undefined for a certificate without one identity; returns why not, or undefined
 */
export function toChannelCredentials(
  credentials: PeerCredentials,
  refuse: (peer: PeerIdentity | undefined) => Error | undefined,
): ChannelCredentials {
  return ChannelCredentials.createFromSecureContext(
    createSecureContext(toContextOptions(credentials)),
    {
      checkServerIdentity: (_hostName, certificate) =>
        refuse(certifiedPeerOf(certificate)?.identity),
    },
  );
}
