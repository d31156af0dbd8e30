import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { parseHolder, type Revocation } from '../../shared/domain/revocation.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { Revocation as RevocationMessage } from '../../shared/rpc/generated/waybill/v1/Revocation.ts';
import type { LastAdministrator } from '../enrollment/last-administrator.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { Revocations } from '../revocations/revocations.ts';

/** What answering about revocations needs. */
export interface RevocationAnswersComponents {
  readonly revocations: Pick<Revocations, 'list' | 'revoke'>;
  readonly lastAdministrator: Pick<LastAdministrator, 'putOut'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree' | 'identityOf'>;
}

/** Answers what administrators ask and say about certificates that are nobody's any more. */
export class RevocationAnswers {
  readonly #components: RevocationAnswersComponents;

  constructor(components: RevocationAnswersComponents) {
    this.#components = components;
  }

  methods() {
    const { lastAdministrator, revocations } = this.#components;
    return {
      revokeCertificates: async ({ holder, reason }, { caller }) => {
        const { identity } = caller;
        const why = { reason, revokedBy: toIdentityUri(identity) };
        const checked = this.#requireOther(holder);
        const revoke = () => revocations.revoke(checked, why);
        return toRevocationMessage(await lastAdministrator.putOut(checked, identity, revoke));
      },
      listRevocations: async function* () {
        for (const revocation of revocations.list()) yield toRevocationMessage(revocation);
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }

  /** @throws REQUEST_INVALID for no holder, and for this very site, which could tell nobody then */
  #requireOther(text: string): string {
    const holder = parseHolder(text);
    const { siteCode, parent } = this.#components.sites.own;
    const own = `site/${siteCode}`;
    if (holder !== undefined && holder !== own) return holder;
    const expected =
      holder === own
        ? `another site than ${siteCode}, which is asked; ask ${parent ? `site ${parent.siteCode}` : 'a site above it'}`
        : 'such as dp/PS1DP1, site/PS1, admin/bob or client/pc1';
    throw requestInvalid('holder', { expected, actual: quoted(text) });
  }
}

function toRevocationMessage(revocation: Revocation): RevocationMessage {
  return { ...revocation };
}
