/**
 * The demo: a real site server and real DPs on this machine, a package from a real directory,
 * distributed, updated and compared byte for byte. Everything lies in one temporary folder.
 */
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { usageFailure } from '../../shared/runtime/usage-failure.ts';
import { Demo } from './demo.ts';

const options = yargs(hideBin(process.argv))
  .scriptName('npm run demo --')
  .usage('$0 [options]\n\nStarts a site and its distribution points and sends them a package.')
  .option('source', {
    type: 'string',
    requiresArg: true,
    describe: "directory to make the package from; default: Waybill's own node_modules",
  })
  .option('dps', {
    type: 'number',
    requiresArg: true,
    default: 2,
    describe: 'standard distribution points, 1 to 20',
  })
  .option('pull', {
    type: 'number',
    requiresArg: true,
    default: 2,
    describe: 'pull DPs, 0 to 20, in a chain behind the first standard one',
  })
  .option('keep', { type: 'boolean', default: false, describe: 'leave it running, to go on with' })
  .option('json', { type: 'boolean', default: false, describe: 'one JSON object at the end' })
  .example('$0 --source docs --dps 4', 'another directory, four distribution points')
  .check(({ source }) => source !== '' || '--source: expected a directory')
  .check(({ dps }) => (Number.isInteger(dps) && dps >= 1 && dps <= 20) || '--dps: expected 1 to 20')
  .check(
    ({ pull }) => (Number.isInteger(pull) && pull >= 0 && pull <= 20) || '--pull: expected 0 to 20',
  )
  .strict()
  .fail(
    usageFailure(
      'demo',
      'npm run demo -- [--source DIR] [--dps COUNT] [--pull COUNT] [--keep] [--json]',
    ),
  )
  .parseSync();

const demo = new Demo(options);
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => {
    demo.stop().then(
      () => process.exit(code),
      () => process.exit(code),
    );
  });
}
try {
  await demo.run();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await demo.stop();
}
