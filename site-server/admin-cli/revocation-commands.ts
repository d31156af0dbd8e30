import { holderKindOf, parseHolder } from '../../shared/domain/revocation.ts';
import type { Revocation__Output } from '../../shared/rpc/generated/waybill/v1/Revocation.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import { confirmDeletion, type Deletion } from './confirm-deletion.ts';
import { anyText, flag, option, positional, siteToAskOption } from './options.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toCount, toWord } from './wire-values.ts';

const holderText = {
  parse: parseHolder,
  expected: 'whose certificates: dp/PS1DP1, site/PS1, admin/bob or client/pc1',
};

const revoke = command({
  path: 'certs revoke',
  positionals: '<holder>',
  summary: 'Put a machine or person out: its certificates so far count no more',
  example: 'waybill certs revoke dp/PS1DP1 --reason "stolen on Monday" --yes',
  options: (parser) =>
    parser
      .positional('holder', positional('holder', 'Such as dp/PS1DP1 or admin/bob', holderText))
      .option('reason', option('reason', 'Why, for those who ask later', anyText))
      .option('site', siteToAskOption)
      .option('force', flag('Also a name that the site does not know: its record is lost'))
      .option('yes', { ...flag('Do not ask'), alias: 'y' }),
  run: async ({ holder, reason = '', site, force, yes }, connected) => {
    const session = await connected.atSite(site);
    if (!yes && !(await isItself(session, holder))) {
      await confirmDeletion(session, effectOf(holder), async () => outOf(holder));
    }
    const { admin, output, timeZone } = session;
    const request = { holder, reason, evenIfUnknown: force ?? false };
    const said = await admin.ask('revokeCertificates', request);
    const record = { ...toRevocationRecord(said), reach: toWord('REVOCATION_REACH_', said.reach) };
    output.record(record);
    const time = toTimeText(record.revokedAtMs, timeZone);
    output.sentence(
      `Certificates of ${holder} from before ${time} count no more${toReachText(record)}; connections with them are cut there.`,
    );
    if (record.reach === 'below' || record.reach === 'unknown') output.sentence(askAbove);
    output.sentence(toWayBackText(holder));
  },
});

/** Whether it is the site that is asked, which refuses that: nobody is asked to confirm it. */
async function isItself({ admin }: Session, holder: string): Promise<boolean> {
  if (holderKindOf(holder) !== 'site') return false;
  const { siteCode } = await admin.ask('getSite', {});
  return holder === `site/${siteCode}`;
}

/** Where it counts, as far as the site that said it knows. */
function toReachText({ reach, siteCode }: { reach: string; siteCode: string }): string {
  const there = ` at ${siteCode} and the sites below it`;
  switch (reach) {
    case 'everywhere':
      return ', anywhere';
    case 'below':
      return `${there}, and nowhere else`;
    case 'unknown':
      return `${there}; elsewhere only if one of these has issued them`;
    default:
      return '';
  }
}

const askAbove =
  'To put it out everywhere, call this with --site at the site that has issued them, or at the top site.';

/** With a site go those it vouches for. */
function effectOf(holder: string): string {
  const others = holderKindOf(holder) === 'site' ? ', with all whose certificates it issued' : '';
  return `it puts ${holder} out${others}, and nothing takes that back`;
}

function outOf(holder: string): Deletion {
  const isSite = holderKindOf(holder) === 'site';
  const others = isSite ? ', with all DPs and administrators whose certificates it issued' : '';
  return {
    name: holder,
    question: `Put ${holder} out${others}? Nothing takes that back. Type it to confirm: `,
    refusal: `${holder} was not revoked`,
    facts: { holder },
  };
}

/** A revocation is never taken back: whoever is to come back is enrolled anew. */
function toWayBackText(holder: string): string {
  const [kind = '', name = ''] = holder.split('/', 2);
  const call = `"waybill ${kind} enroll ${name}"`;
  return `To let ${holder} come back: ${call}, which prints the command for there.`;
}

const listRevocations = command({
  path: 'certs revocations',
  summary: 'Whose certificates count no more, since when, and who said so',
  example: 'waybill certs revocations',
  options: (parser) => parser.option('site', siteToAskOption),
  run: async ({ site }, connected) => {
    const { admin, output, timeZone } = await connected.atSite(site);
    const rows = (await admin.list('listRevocations', {})).map(toRevocationRecord);
    output.list(rows, columnsOf(timeZone), 'Nobody is revoked.');
  },
});

/** `waybill certs revoke` and `revocations`. */
export const revocationCommands: readonly Command[] = [revoke, listRevocations];

type RevocationRecord = ReturnType<typeof toRevocationRecord>;

/** A revocation, as `--json` shows it. */
function toRevocationRecord({ revokedAtMs, ...wire }: Revocation__Output) {
  const { holder, siteCode, reason, revokedBy } = wire;
  const atMs = toCount(revokedAtMs, 'revoked_at_ms');
  return { holder, revokedAtMs: atMs, siteCode, revokedBy, reason };
}

function columnsOf(timeZone: string | undefined): readonly Column<RevocationRecord>[] {
  return [
    { title: 'holder', text: (row) => row.holder },
    { title: 'revoked', text: (row) => toTimeText(row.revokedAtMs, timeZone) },
    { title: 'at', text: (row) => row.siteCode },
    { title: 'by', text: (row) => row.revokedBy.replace(/^waybill:\/\//, '').replace(/\?.*/, '') },
    { title: 'reason', text: (row) => row.reason },
  ];
}
