import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { parseHolder, type Revocation } from '../../shared/domain/revocation.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { Revocation as RevocationMessage } from '../../shared/rpc/generated/waybill/v1/Revocation.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { Revocations } from '../revocations/revocations.ts';
import { requireNotAbove } from './sites-above.ts';

/** What answering about revocations needs. */
export interface RevocationAnswersComponents {
  readonly revocations: Pick<Revocations, 'list' | 'revoke'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree' | 'identityOf'>;
}

/** Answers what administrators ask and say about certificates that are nobody's any more. */
export class RevocationAnswers {
  readonly #components: RevocationAnswersComponents;

  constructor(components: RevocationAnswersComponents) {
    this.#components = components;
  }

  methods() {
    const { revocations } = this.#components;
    return {
      revokeCertificates: async ({ holder, reason }, { caller }) => {
        const revokedBy = toIdentityUri(caller.identity);
        const why = { reason, revokedBy };
        return toRevocationMessage(await revocations.revoke(this.#requireOther(holder), why));
      },
      listRevocations: async function* () {
        for (const revocation of revocations.list()) yield toRevocationMessage(revocation);
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }

  /** @throws REQUEST_INVALID for no holder, for this very site, which could tell nobody then, and for one above it */
  #requireOther(text: string): string {
    const holder = parseHolder(text);
    const own = `site/${this.#components.sites.own.siteCode}`;
    if (holder !== undefined && holder !== own) {
      requireNotAbove(this.#components.sites, holder);
      return holder;
    }
    const expected =
      holder === own
        ? 'another site than the one that is asked; ask the site above it'
        : 'such as dp/PS1DP1, site/PS1, admin/bob or client/pc1';
    throw requestInvalid('holder', { expected, actual: quoted(text) });
  }
}

function toRevocationMessage(revocation: Revocation): RevocationMessage {
  return { ...revocation };
}
