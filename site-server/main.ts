#!/usr/bin/env node
import { join } from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { ownCredentialsAtStart } from '../shared/certificate-keeper/own-identity.ts';
import { WaybillError } from '../shared/domain/errors.ts';
import { LiveCredentials } from '../shared/rpc/live-credentials.ts';
import { agentVersion } from '../shared/runtime/agent-version.ts';
import { systemClock } from '../shared/runtime/clock.ts';
import { loadConfig } from '../shared/runtime/load-config.ts';
import { logFormFor } from '../shared/runtime/log-text.ts';
import { type Logger, type Logging, openLogging } from '../shared/runtime/logger.ts';
import { type Program, runProcess } from '../shared/runtime/run-process.ts';
import { serviceNoticesFor } from '../shared/runtime/service-notices.ts';
import { StandardOutput } from '../shared/runtime/standard-output.ts';
import { usageFailure } from '../shared/runtime/usage-failure.ts';
import { type SiteConfig, siteConfigSchema } from './site-config.ts';
import { enrollCommand } from './site-enrolling/enroll-command.ts';
import { SiteServer } from './site-server.ts';
import { administratorOptions, makeAdministratorOf } from './site-setup/administrator-command.ts';
import {
  alignOwnIdentity,
  backUpAuthorityOf,
  restoreAuthorityOf,
  retireRootOf,
  rotateRootOf,
} from './site-setup/authority-commands.ts';
import { initOptions, initSite, initUsage } from './site-setup/init-command.ts';

/** Flags of every command that works with a site that is set up. */
interface Flags {
  readonly config: string;
  readonly listen?: string | undefined;
  readonly logLevel?: string | undefined;
}

const tell = (line: string) => console.log(line);
const config = {
  type: 'string',
  demandOption: true,
  describe: 'YAML configuration file',
} as const;
const passphraseFile = {
  type: 'string',
  describe: 'file with the passphrase of the backup, one line, for its owner only',
} as const;

const usage = 'waybill-site init --site CODE, or waybill-site [run | enroll | …] --config FILE';
const args = hideBin(process.argv);
const isInit = args[0] === 'init';

await yargs(args)
  .scriptName('waybill-site')
  .usage('$0 --config FILE\n\nA site server.')
  .command(
    ['run', '$0'],
    'runs the site server in the foreground',
    (command) =>
      command
        .option('config', config)
        .option('listen', { type: 'string', describe: 'host:port, instead of the one in the file' })
        .option('log-level', { type: 'string', describe: 'fatal, error, warn, info or debug' })
        .example('$0 --config /etc/waybill/site.yaml', ''),
    (flags) => runSite({ ...flags, logLevel: flags['log-level'] }),
  )
  .command(enrollCommand(runSite))
  .command('init', 'sets up the first site of a new hierarchy', initOptions, (flags) =>
    telling(() => initSite(flags, { environment: process.env, tell })),
  )
  .command(
    'admin <name>',
    'makes whoever calls it an administrator, when all have lost their keys; at the top site, which may be running',
    (command) => administratorOptions(command.option('config', config)),
    (flags) =>
      telling(async () =>
        makeAdministratorOf(await configOf(flags), flags, { environment: process.env, tell }),
      ),
  )
  .command(
    'rotate-root',
    'makes a new root of the hierarchy beside the one there is; at the top site, which may be running',
    (command) =>
      command
        .option('config', config)
        .option('force', {
          type: 'boolean',
          default: false,
          describe:
            'though what was signed before is of a later time: the clock was wrong then, and is right now',
        })
        .example('$0 rotate-root --config /etc/waybill/site.yaml', ''),
    (flags) =>
      telling(async () => {
        const { config: configFile, force: isForced } = flags;
        await rotateRootOf(await configOf(flags), { isForced, configFile }, tell);
      }),
  )
  .command(
    'retire-root',
    'ends the old root, after rotate-root; at the top site, which may be running',
    (command) =>
      command
        .option('config', config)
        .option('force', {
          type: 'boolean',
          default: false,
          describe:
            'at once, though some stand on it still, who are listed: the old key was stolen',
        })
        .example('$0 retire-root --config /etc/waybill/site.yaml', ''),
    (flags) =>
      telling(async () => {
        const { config: configFile, force: isForced } = flags;
        await retireRootOf(await configOf(flags), { isForced, configFile }, tell);
      }),
  )
  .command(
    'backup-authority',
    'writes the keys of the hierarchy to a file; at the top site, which may be running',
    (command) =>
      command
        .option('config', config)
        .option('out', { type: 'string', demandOption: true, describe: 'file to write' })
        .option('passphrase-file', passphraseFile)
        .example('$0 backup-authority --config site.yaml --out /media/usb/cs1.json', ''),
    (flags) =>
      telling(async () => {
        const { out: file, passphraseFile } = flags;
        await backUpAuthorityOf(await configOf(flags), { file, passphraseFile }, tell);
      }),
  )
  .command(
    'restore-authority',
    'puts the keys of the hierarchy back where there are none; the site server is stopped',
    (command) =>
      command
        .option('config', config)
        .option('in', { type: 'string', demandOption: true, describe: 'file to read' })
        .option('passphrase-file', passphraseFile)
        .example('$0 restore-authority --config site.yaml --in /media/usb/cs1.json', ''),
    (flags) =>
      telling(async () => {
        const { in: file, passphraseFile } = flags;
        await restoreAuthorityOf(await configOf(flags), { file, passphraseFile }, tell);
      }),
  )
  .epilogue('Every key of the configuration: docs/configuration.md')
  .version(agentVersion())
  .strict()
  .fail(usageFailure('waybill-site', isInit ? initUsage : usage, { args }))
  .parseAsync();

function configOf(flags: Flags): Promise<SiteConfig> {
  return loadConfig({
    schema: siteConfigSchema,
    file: flags.config,
    environment: process.env,
    environmentPrefix: 'WAYBILL_SITE_',
    flags: { listen: flags.listen, logLevel: flags.logLevel },
  });
}

/** An expected failure, or one of the system, is a sentence, and exit code 1. */
async function telling(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const isOfSystem = error instanceof Error && 'syscall' in error;
    if (!(error instanceof WaybillError) && !isOfSystem) throw error;
    console.error(`waybill-site: ${error.message}`);
    process.exitCode = 1;
  }
}

function runSite(flags: Flags): void {
  const notices = serviceNoticesFor(process.env, { clock: systemClock, processId: process.pid });
  runProcess((begun) => openSite(flags, begun), { notices });
}

async function openSite(flags: Flags, begun: (logger: Logger) => void): Promise<Program> {
  const config = await configOf(flags);
  const logDirectory = join(config.dataDirectory, 'logs');
  const stdout = new StandardOutput(process.stdout, logFormFor(process.stdout, process.env));
  const logging = await openLogging({ directory: logDirectory, level: config.logLevel, stdout });
  begun(logging.logger);
  try {
    return { component: await siteServerOf(config, { ...flags, logDirectory, logging }), logging };
  } catch (error) {
    await logging.close();
    throw error;
  }
}

async function siteServerOf(
  config: SiteConfig,
  { config: configFile, logDirectory, logging }: Flags & { logDirectory: string; logging: Logging },
): Promise<SiteServer> {
  await alignOwnIdentity(config);
  const credentials = new LiveCredentials(
    await ownCredentialsAtStart(config.certificates, {
      identity: { kind: 'site', siteCode: config.siteCode },
      nowMs: systemClock.nowMs(),
      wayBack: `call "waybill site enroll ${config.siteCode}" at the top site, and here what that prints, with --force`,
    }),
  );
  const needs = { clock: systemClock, random: Math.random, logger: logging.logger, credentials };
  return SiteServer.open(needs, { ...config, logDirectory, configFile });
}
