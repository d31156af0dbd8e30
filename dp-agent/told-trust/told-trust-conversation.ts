import { WaybillError } from '../../shared/domain/errors.ts';
import { parseHolder, type RevokedAt } from '../../shared/domain/revocation.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import { siteCountMax } from '../../shared/domain/site-tree.ts';
import {
  type ToldBundle,
  type ToldTrust,
  toldRevocationCountMax,
  trustBundleBytesMax,
} from '../../shared/domain/told-trust.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { SetTrustRequest__Output } from '../../shared/rpc/generated/waybill/v1/SetTrustRequest.ts';
import type { SitePlace__Output } from '../../shared/rpc/generated/waybill/v1/SitePlace.ts';
import type { ToldRevocation__Output } from '../../shared/rpc/generated/waybill/v1/ToldRevocation.ts';
import type { TrustBundle__Output } from '../../shared/rpc/generated/waybill/v1/TrustBundle.ts';
import type { TrustHeader__Output } from '../../shared/rpc/generated/waybill/v1/TrustHeader.ts';
import type { ToldTrustKeeper } from './told-trust.ts';

/** The latest time a date can have. */
const latestMs = 8.64e15;

/** What of the DistributionPoint conversation is about trust: wire to component and back. */
export function toldTrustConversation(
  toldTrust: Pick<ToldTrustKeeper, 'take'>,
): Pick<Conversation<'DistributionPoint'>, 'setTrust'> {
  return {
    async setTrust(requests) {
      await toldTrust.take(await receivedTrust(requests));
      return {};
    },
  };
}

/** @throws MESSAGE_INVALID, also when the call broke off before all was said */
async function receivedTrust(requests: AsyncIterable<SetTrustRequest__Output>): Promise<ToldTrust> {
  let header: TrustHeader__Output | undefined;
  const revocations: RevokedAt[] = [];
  for await (const part of requests) {
    if ((part.header === null) !== (header !== undefined)) {
      throw invalid('header', 'one, in the first part', part.header ? 'another one' : 'none');
    }
    header ??= part.header ?? undefined;
    const countMax = requireCount(header?.revocationCount ?? 0);
    if (revocations.length + part.revocations.length > countMax) {
      throw invalid('revocations', `${countMax}`, 'more');
    }
    revocations.push(...part.revocations.map(toRevocation));
  }
  if (!header) throw invalid('header', 'one, in the first part', 'none');
  if (revocations.length !== header.revocationCount) {
    throw invalid('revocations', `${header.revocationCount}`, `${revocations.length}`);
  }
  const bundle = header.bundle && toBundle(header.bundle);
  return { sites: toSites(header.sites), revocations, ...(bundle && { bundle }) };
}

function requireCount(count: number): number {
  if (count <= toldRevocationCountMax) return count;
  throw invalid('revocation_count', `at most ${toldRevocationCountMax}`, `${count}`);
}

function toSites(sites: readonly SitePlace__Output[]): ToldTrust['sites'] {
  if (sites.length > siteCountMax) {
    throw invalid('sites', `at most ${siteCountMax}`, `${sites.length}`);
  }
  return sites.map(({ siteCode, parentSiteCode }) => ({
    siteCode: requireSiteCode('site_code', siteCode),
    parentSiteCode: parentSiteCode && requireSiteCode('parent_site_code', parentSiteCode),
  }));
}

function toRevocation({ siteCode, holder, revokedAtMs }: ToldRevocation__Output): RevokedAt {
  const atMs = Number(revokedAtMs);
  if (!(Number.isInteger(atMs) && atMs >= 0 && atMs <= latestMs)) {
    throw invalid('revoked_at_ms', 'a time', `${revokedAtMs}`);
  }
  if (parseHolder(holder) === undefined) {
    throw invalid('holder', 'such as dp/PS1DP1', shown(holder));
  }
  return { siteCode: requireSiteCode('site_code', siteCode), holder, revokedAtMs: atMs };
}

function toBundle({ generation, bundle }: TrustBundle__Output): ToldBundle {
  const number = Number(generation);
  if (!Number.isSafeInteger(number) || number < 1) {
    throw invalid('bundle.generation', 'a whole number from 1 up', `${generation}`);
  }
  if (bundle.length === 0 || bundle.length > trustBundleBytesMax) {
    throw invalid('bundle.bundle', `1 to ${trustBundleBytesMax} bytes`, `${bundle.length}`);
  }
  return { generation: number, base64: bundle.toString('base64') };
}

function requireSiteCode(field: string, text: string): string {
  const siteCode = parseSiteCode(text);
  if (siteCode !== undefined) return siteCode;
  throw invalid(field, 'a site code', shown(text));
}

/** A peer's text as a log may have it. */
function shown(text: string): string {
  return text.slice(0, 80).replace(/[^\x20-\x7e]/g, '\ufffd');
}

function invalid(field: string, expected: string, actual: string): WaybillError {
  return new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual });
}
