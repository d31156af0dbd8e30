#!/usr/bin/env node
import { join } from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { agentVersion } from '../shared/runtime/agent-version.ts';
import { systemClock } from '../shared/runtime/clock.ts';
import { loadConfig } from '../shared/runtime/load-config.ts';
import { openLogging } from '../shared/runtime/logger.ts';
import { runProcess } from '../shared/runtime/run-process.ts';
import { DpAgent } from './dp-agent.ts';
import { dpConfigSchema } from './dp-config.ts';

const arguments_ = yargs(hideBin(process.argv))
  .scriptName('waybill-dp')
  .usage('$0 --config FILE\n\nRuns the agent of a distribution point in the foreground.')
  .option('config', { type: 'string', demandOption: true, describe: 'YAML configuration file' })
  .option('listen', { type: 'string', describe: 'host:port to listen on, instead of the file' })
  .option('log-level', { type: 'string', describe: 'fatal, error, warn, info or debug' })
  .example('$0 --config /etc/waybill/dp.yaml', 'run with this configuration')
  .epilogue('Every key of the configuration: docs/configuration.md')
  .version(agentVersion())
  .strict()
  .parseSync();

runProcess(async () => {
  const config = await loadConfig({
    schema: dpConfigSchema,
    file: arguments_.config,
    environment: process.env,
    environmentPrefix: 'WAYBILL_DP_',
    flags: { listen: arguments_.listen, logLevel: arguments_['log-level'] },
  });
  const directory = join(config.dataDirectory, 'logs');
  const logging = await openLogging({ directory, level: config.logLevel, stdout: true });
  const credentials = await readPeerCredentials(config.certificates);
  const needs = { clock: systemClock, logger: logging.logger, credentials };
  return { component: await DpAgent.open(needs, config), logging };
});
