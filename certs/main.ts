import { relative } from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { WaybillError } from '../shared/domain/errors.ts';
import {
  type AdminRole,
  fromIdentityUri,
  type PeerIdentity,
} from '../shared/domain/peer-identity.ts';
import { type DevelopmentCertificate, issueDevelopmentHierarchy } from './development-hierarchy.ts';

const roles = ['full', 'operator', 'read-only'] as const satisfies AdminRole[];

/** A list option that takes one value each time it is given. */
const list = { type: 'string', array: true, nargs: 1, default: [] as string[] } as const;

function parseCommandLine(args: readonly string[]) {
  return yargs(args)
    .scriptName('npm run certs --')
    .usage('Makes certificates for development.\n\n$0 --out DIR [--site CODE] [--dp ID] [--admin NAME]')
    .option('out', { type: 'string', demandOption: true, describe: 'Directory; made if missing' })
    .option('site', { ...list, describe: 'Site code, such as PS1' })
    .option('dp', { ...list, describe: 'Distribution point, such as PS1DP1' })
    .option('admin', { ...list, describe: 'Administrator, such as alice' })
    .option('role', { choices: roles, default: 'full' as AdminRole, describe: 'Role of --admin' })
    .option('days', { type: 'number', default: 30, describe: 'How long they are valid' })
    .example('$0 --out certs/dev --site PS1 --dp PS1DP1 --dp PS1DP2 --admin alice', '')
    .check(({ days }) => days > 0 || '--days: expected a number above 0')
    .strict()
    .version(false)
    .exitProcess(false)
    .parseSync();
}

/** @throws Error naming the option whose value names nobody */
function toIdentity(option: string, value: string, uri: string): PeerIdentity {
  const identity = fromIdentityUri(uri);
  if (identity) return identity;
  throw new Error(`--${option} ${value}: expected letters, digits, dots and hyphens (site: PS1)`);
}
