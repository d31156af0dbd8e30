import { expectedSite } from '../../shared/rpc/expected-site.ts';
import type { EnrollRequest__Output } from '../../shared/rpc/generated/waybill/v1/EnrollRequest.ts';
import type { IssuedIdentity__Output } from '../../shared/rpc/generated/waybill/v1/IssuedIdentity.ts';
import type { RenewRequest__Output } from '../../shared/rpc/generated/waybill/v1/RenewRequest.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { PeerTrust } from '../../shared/rpc/peer-trust.ts';
import { RpcChannel, type RpcChannelOptions } from '../../shared/rpc/rpc-channel.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';

/** What asking the parent needs. */
export interface ParentEnrollmentComponents {
  readonly credentials: PeerCredentials;
  /** A parent that is revoked is shown no token. */
  readonly trust: PeerTrust;
  readonly sites: Pick<SiteDirectory, 'addressesOf'>;
  /** How a channel is made. @default over the network */
  readonly openChannel?: (
    options: RpcChannelOptions<'SiteEnrollment'>,
  ) => Pick<RpcChannel<'SiteEnrollment'>, 'unary' | 'close'>;
}

/** Less than whoever asked this site waits for it. */
const deadlineMs = 15_000;

/**
 * Passes on to the parent of this site, over mutual TLS, what only the top can answer. Keeps no
 * connection: a site is enrolled once, and renewed once a year.
 */
export class ParentEnrollment {
  readonly #components: ParentEnrollmentComponents;
  readonly #parent: { readonly siteCode: string; readonly address: string };

  /** @param parent as the configuration of this site says it */
  constructor(
    components: ParentEnrollmentComponents,
    parent: { readonly siteCode: string; readonly address: string },
  ) {
    this.#components = components;
    this.#parent = parent;
  }

  /** @throws what the parent answers; PEER_UNREACHABLE, DEADLINE_EXCEEDED; AbortError */
  enroll(request: EnrollRequest__Output, signal: AbortSignal): Promise<IssuedIdentity__Output> {
    return this.#ask((channel) => channel.unary('passEnroll', request, { deadlineMs, signal }));
  }

  /** @throws as `enroll` */
  renew(request: RenewRequest__Output, signal: AbortSignal): Promise<IssuedIdentity__Output> {
    return this.#ask((channel) => channel.unary('passRenew', request, { deadlineMs, signal }));
  }

  async #ask<T>(
    work: (channel: Pick<RpcChannel<'SiteEnrollment'>, 'unary'>) => Promise<T>,
  ): Promise<T> {
    const {
      credentials,
      trust,
      sites,
      openChannel = (options) => new RpcChannel(options),
    } = this.#components;
    const { siteCode, address: configured } = this.#parent;
    const [address = configured] = sites.addressesOf(siteCode);
    const channel = openChannel({
      conversation: 'SiteEnrollment',
      address,
      ...expectedSite(siteCode),
      credentials,
      trust,
    });
    try {
      return await work(channel);
    } finally {
      channel.close();
    }
  }
}
