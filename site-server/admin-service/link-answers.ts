import { parseObjectName } from '../../shared/domain/object-name.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import type { TransferLink } from '../../shared/domain/transfer-link.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { Link as LinkMessage } from '../../shared/rpc/generated/waybill/v1/Link.ts';
import type { LinkSettings__Output } from '../../shared/rpc/generated/waybill/v1/LinkSettings.ts';
import {
  toTransferControlsMessage,
  toTransferControlsPatch,
} from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import type { TransferLinkPatch, TransferLinks } from '../hierarchy-manager/transfer-links.ts';
import { requireDistributionPointId, requireSiteCode } from './package-requests.ts';
import { checkedText } from './request-text.ts';

/** What answering about links needs. */
export interface LinkAnswersComponents {
  readonly links: TransferLinks;
}

const descriptionRule = { charsMax: requestLimits.descriptionCharsMax, isMultiline: true };

/** Answers what administrators ask and say about links, the lines that several ways share. */
export class LinkAnswers {
  readonly #links: TransferLinks;

  constructor({ links }: LinkAnswersComponents) {
    this.#links = links;
  }

  methods() {
    const links = this.#links;
    return {
      setLink: async (settings) => toLinkMessage(await links.set(toLinkPatch(settings))),
      deleteLink: async ({ linkName }) =>
        toLinkMessage(await links.delete(requireLinkName(linkName))),
      listLinks: async function* () {
        for await (const link of links.list()) yield toLinkMessage(link);
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }
}

/** @throws REQUEST_INVALID */
function toLinkPatch(settings: LinkSettings__Output): TransferLinkPatch {
  const { siteCode, description, dpIds, toSiteCodes, controls } = settings;
  return {
    linkName: requireLinkName(settings.linkName),
    ...(siteCode !== '' && { siteCode: requireSiteCode('site_code', siteCode) }),
    ...(description !== undefined && {
      description: checkedText('description', description, descriptionRule),
    }),
    ...(dpIds && {
      dpIds: dpIds.names.map((name) => requireDistributionPointId('dp_ids', name)),
    }),
    ...(toSiteCodes && {
      toSiteCodes: toSiteCodes.names.map((name) => requireSiteCode('to_site_codes', name)),
    }),
    ...(controls && { controls: toTransferControlsPatch(controls, 'controls') }),
  };
}

function toLinkMessage({ controls, dpIds, toSiteCodes, ...link }: TransferLink): LinkMessage {
  return {
    ...link,
    ...{ dpIds: [...dpIds], toSiteCodes: [...toSiteCodes] },
    controls: toTransferControlsMessage(controls),
  };
}

/** @throws REQUEST_INVALID */
function requireLinkName(text: string): string {
  const linkName = parseObjectName(text);
  if (linkName !== undefined) return linkName;
  const expected = '1 to 63 letters, digits, dots and hyphens, first and last a letter or digit';
  throw requestInvalid('link_name', { expected, actual: quoted(text) });
}
