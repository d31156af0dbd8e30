import { isTokenId } from '../../shared/domain/enrollment-token.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import {
  type EnrollmentRecord,
  makeToken,
  tellToken,
  toEnrollmentRecord,
  toHolderText,
  validForOption,
} from './enrollment-view.ts';
import { flag, personNameText, positional, siteToAskOption } from './options.ts';
import type { Column } from './table.ts';

const tokenIdText = {
  parse: (text: string) => (isTokenId(text) ? text : undefined),
  expected: 'the ID of a token: 16 hex digits, as in "waybill enrollment list"',
};

const listEnrollments = command({
  path: 'enrollment list',
  isDefault: true,
  summary: 'Tokens with which somebody can still be enrolled at the site that is asked',
  example: 'waybill enrollment list --history',
  options: (parser) =>
    parser
      .option('history', flag('Also those that were used, expired or revoked'))
      .option('site', siteToAskOption),
  run: async ({ history, site }, session) => {
    const { admin, output, timeZone } = await session.atSite(site);
    const rows = (await admin.list('listEnrollments', { history })).map(toEnrollmentRecord);
    output.list(rows, columnsFor(timeZone), 'There are no tokens.');
  },
});

const revokeEnrollment = command({
  path: 'enrollment revoke',
  positionals: '<token-id>',
  summary: 'Make a token useless that was not used yet',
  example: 'waybill enrollment revoke 0123456789abcdef',
  options: (parser) =>
    parser
      .positional('token-id', positional('token-id', 'ID of the token', tokenIdText))
      .option('site', siteToAskOption),
  run: async ({ tokenId, site }, session) => {
    const { admin, output } = await session.atSite(site);
    const record = toEnrollmentRecord(await admin.ask('revokeEnrollment', { tokenId }));
    output.record(record);
    output.sentence(`Token ${tokenId} for ${toHolderText(record.identity)} is revoked.`);
  },
});

const addClient = command({
  path: 'client enroll',
  positionals: '<name>',
  summary: 'Print the command with which a client, who only fetches, gets its certificate',
  example: 'waybill client enroll pc1 --valid-for 2d',
  options: (parser) =>
    parser
      .positional('name', positional('name', 'Name of the client', personNameText))
      .option('valid-for', validForOption)
      .option('site', siteToAskOption),
  run: async ({ name, validFor, site }, session) => {
    const there = await session.atSite(site);
    const made = await makeToken(there, { kind: 'client', name }, validFor);
    session.output.record(made);
    tellToken(session, made);
  },
});

/** `waybill enrollment …`. */
export const enrollmentCommands: readonly Command[] = [listEnrollments, revokeEnrollment];

/** `waybill client …`. */
export const clientCommands: readonly Command[] = [addClient];

function columnsFor(timeZone: string | undefined): readonly Column<EnrollmentRecord>[] {
  return [
    { title: 'token', text: (row) => row.tokenId },
    { title: 'for', text: (row) => toHolderText(row.identity) },
    { title: 'state', text: (row) => row.state },
    { title: 'until', text: (row) => toTimeText(row.expiresAtMs, timeZone) },
    { title: 'from', text: (row) => row.usedFrom },
    { title: 'wrong', text: (row) => (row.wrongSecretCount || '').toString(), align: 'right' },
    { title: 'why', text: (row) => row.reason },
  ];
}
