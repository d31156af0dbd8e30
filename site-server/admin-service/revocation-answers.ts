import type { Voucher } from '../../shared/domain/certificate-authority.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import {
  parseHolder,
  type Revocation,
  type RevocationReach,
  reachOfRevocation,
} from '../../shared/domain/revocation.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { Revocation as RevocationMessage } from '../../shared/rpc/generated/waybill/v1/Revocation.ts';
import type { LastAdministrator } from '../enrollment/last-administrator.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { KnownHolders } from '../revocations/known-holders.ts';
import type { Revocations } from '../revocations/revocations.ts';
import { requireNotAbove } from './sites-above.ts';

/** What answering about revocations needs. */
export interface RevocationAnswersComponents {
  readonly revocations: Pick<Revocations, 'list' | 'revoke'>;
  readonly lastAdministrator: Pick<LastAdministrator, 'putOut'>;
  readonly holders: Pick<KnownHolders, 'find' | 'nearest'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree' | 'identityOf'>;
}

const reachNames = {
  everywhere: 'REVOCATION_REACH_EVERYWHERE',
  below: 'REVOCATION_REACH_BELOW',
  unknown: 'REVOCATION_REACH_UNKNOWN',
} as const satisfies Record<RevocationReach, string>;

/** Answers what administrators ask and say about certificates that are nobody's any more. */
export class RevocationAnswers {
  readonly #components: RevocationAnswersComponents;

  constructor(components: RevocationAnswersComponents) {
    this.#components = components;
  }

  methods() {
    const { lastAdministrator, revocations } = this.#components;
    return {
      revokeCertificates: async ({ holder: text, reason, evenIfUnknown }, { caller }) => {
        const { identity } = caller;
        const holder = this.#requireOther(text);
        const known = await this.#requireKnown(holder, evenIfUnknown);
        const why = { reason, revokedBy: toIdentityUri(identity) };
        const revoke = () => revocations.revoke(holder, why);
        const said = await lastAdministrator.putOut(holder, identity, revoke);
        return { ...toRevocationMessage(said), reach: reachNames[this.#reachOf(said, known)] };
      },
      listRevocations: async function* () {
        for (const revocation of revocations.list()) yield toRevocationMessage(revocation);
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }

  /** @throws REQUEST_INVALID for no holder, for this very site, which could tell nobody then, and for one above it */
  #requireOther(text: string): string {
    const holder = parseHolder(text);
    const { siteCode, parent } = this.#components.sites.own;
    const own = `site/${siteCode}`;
    if (holder !== undefined && holder !== own) {
      requireNotAbove(this.#components.sites, holder);
      return holder;
    }
    const actual = quoted(text);
    if (holder === undefined) {
      const expected = 'whose certificates, such as dp/PS1DP1, site/PS1, admin/bob or client/pc1';
      throw requestInvalid('holder', { expected, actual });
    }
    const remedy = parent
      ? `Ask site ${parent.siteCode}`
      : 'A top site is put out by another root, with "waybill-site rotate-root"';
    const expected = `another site than ${siteCode}, which is asked`;
    throw requestInvalid('holder', { expected, actual, remedy });
  }

  /**
   * A name that was mistyped puts nobody out, and says that it had.
   *
   * @returns who vouches for the holder; undefined: that is not known here
   * @throws HOLDER_UNKNOWN
   */
  async #requireKnown(holder: string, evenIfUnknown: boolean): Promise<Voucher | undefined> {
    const { holders, sites } = this.#components;
    const known = await holders.find(holder);
    if (known || evenIfUnknown) return known?.voucher;
    const { siteCode } = sites.own;
    const near = (await holders.nearest(holder)) ?? '';
    throw new WaybillError({ code: 'HOLDER_UNKNOWN', holder, siteCode, near });
  }

  #reachOf({ siteCode }: Revocation, voucher: Voucher | undefined): RevocationReach {
    return reachOfRevocation(siteCode, voucher, this.#components.sites.tree);
  }
}

function toRevocationMessage(revocation: Revocation): RevocationMessage {
  return { ...revocation };
}
