import { constants } from 'node:crypto';
import type { SecureServerOptions } from 'node:http2';
import {
  createSecureContext,
  type DetailedPeerCertificate,
  type SecureContextOptions,
  type TLSSocket,
} from 'node:tls';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import type { CertifiedPeer } from '../domain/certificate-authority.ts';
import { shownPeerOf } from './certificate-trust.ts';
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

function toServerContextOptions(credentials: PeerCredentials): SecureContextOptions {
  return {
    ...toContextOptions(credentials),
    honorCipherOrder: true,
    // A resumed session would skip the check of the caller's certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** TLS 1.3 that takes only callers with a certificate of our CA, and HTTP/2 with our limits. */
export class MutualTlsServerCredentials extends ServerCredentials {
  constructor(credentials: PeerCredentials) {
    super(serverOptions, toServerContextOptions(credentials));
  }

  /** Shows these to new connections; those there are stay. Throws for what TLS cannot use. */
  replace(credentials: PeerCredentials): void {
    const options = toServerContextOptions(credentials);
    // gRPC would log what is wrong with them, and take no connection any more.
    createSecureContext(options);
    this.updateSecureContextOptions(options);
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
 * @param watch what is told of each handshake
 */
export function toChannelCredentials(
  credentials: PeerCredentials,
  refuse: (peer: CertifiedPeer | undefined) => Error | undefined,
  watch: HandshakeWatch = {},
): ChannelCredentials {
  const secure = ChannelCredentials.createFromSecureContext(
    createSecureContext(toContextOptions(credentials)),
    {
      // Node gives it with its issuers, whatever gRPC's types say.
      checkServerIdentity: (_hostName, certificate) =>
        refuse(shownPeerOf(certificate as DetailedPeerCertificate, credentials.ca)),
    },
  );
  return new WatchedChannelCredentials(secure, watch);
}

/** Who wants to know how the handshakes of a client end. */
export interface HandshakeWatch {
  /** It is done at our end, and we did not refuse the server. With TLS 1.3 the server looks at our certificate only then. */
  readonly onConnected?: (socket: TLSSocket) => void;
  /** We refused the server, or the connection broke meanwhile. */
  readonly onFailed?: (error: unknown) => void;
}

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/** Shows the socket of each connection that is made. */
class WatchedChannelCredentials extends ChannelCredentials {
  readonly #inner: ChannelCredentials;
  readonly #watch: HandshakeWatch;

  constructor(inner: ChannelCredentials, watch: HandshakeWatch) {
    super();
    this.#inner = inner;
    this.#watch = watch;
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...target: Parameters<ChannelCredentials['_createSecureConnector']>
  ): Connector {
    const connector = this.#inner._createSecureConnector(...target);
    let isWanted = true;
    return {
      connect: async (socket) => {
        const result = await connector.connect(socket).catch((error: unknown) => {
          this.#watch.onFailed?.(error);
          throw error;
        });
        this.#watch.onConnected?.(result.socket as TLSSocket);
        return result;
      },
      waitForReady: async () => {
        // gRPC tries once more when its channel was closed between two tries.
        if (!isWanted) throw new Error('Nobody wants the connection any more');
        await connector.waitForReady();
      },
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => {
        isWanted = false;
        connector.destroy();
      },
    };
  }
}
