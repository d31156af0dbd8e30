import yargs from 'yargs';
import {
  type AdminRole,
  fromIdentityUri,
  type PeerIdentity,
} from '../shared/domain/peer-identity.ts';

/** What `npm run certs` was asked for. */
export interface CertsRequest {
  readonly directory: string;
  readonly identities: readonly PeerIdentity[];
  readonly days: number;
}

const roles = ['full', 'operator', 'read-only'] as const satisfies AdminRole[];

/** An option that takes one value each time it is given. */
const list = { type: 'string', array: true, nargs: 1, default: [] as string[] } as const;

/**
 * Reads the command line; undefined when it asked for help only.
 *
 * @throws Error saying what was expected
 */
export function parseCommandLine(args: readonly string[]): CertsRequest | undefined {
  const given = toParser(args).parseSync();
  if (given.help) return undefined;
  const identities = [
    ...given.site.map((code) => toIdentity('site', code, `waybill://site/${code}`)),
    ...given.dp.map((id) => toIdentity('dp', id, `waybill://dp/${id}`)),
    ...given.admin.map((name) =>
      toIdentity('admin', name, `waybill://admin/${given.role}/${name}`),
    ),
    ...given.client.map((name) => toIdentity('client', name, `waybill://client/${name}`)),
  ];
  if (identities.length === 0) {
    throw new Error('Expected at least one --site, --dp, --admin or --client');
  }
  if (!(given.days > 0)) throw new Error('--days: expected a number above 0');
  return { directory: given.out, identities, days: given.days };
}

function toParser(args: readonly string[]) {
  return yargs(args)
    .scriptName('npm run certs --')
    .usage(
      '$0 --out DIR --site CODE --dp ID --admin NAME --client NAME\n\nMakes certificates for development.',
    )
    .option('out', { type: 'string', demandOption: true, describe: 'Directory; made if missing' })
    .option('site', { ...list, describe: 'Site code, such as PS1' })
    .option('dp', { ...list, describe: 'Distribution point, such as PS1DP1' })
    .option('admin', { ...list, describe: 'Administrator, such as alice' })
    .option('client', { ...list, describe: 'Client, such as pc1' })
    .option('role', { choices: roles, default: 'full' as AdminRole, describe: 'Role of --admin' })
    .option('days', { type: 'number', default: 30, describe: 'How long they are valid' })
    .example('$0 --out certs/dev --site PS1 --dp PS1DP1 --dp PS1DP2 --admin alice', '')
    .strict()
    .version(false)
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new Error(message);
    });
}

function toIdentity(option: string, value: string, uri: string): PeerIdentity {
  const identity = fromIdentityUri(uri);
  if (identity) return identity;
  const expected =
    option === 'site' ? 'three of A-Z and 0-9' : '1 to 63 letters, digits, dots and hyphens';
  throw new Error(`--${option} ${value}: expected ${expected}`);
}
