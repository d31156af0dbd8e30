import { SendingMachine, type SendingOptions, SendingSite } from './test-sending.ts';

/** The disk of the site of the present test, and the world around it: each test has its own. */
export let machine: SendingMachine;

/** The present life of that site. */
export let site: SendingSite;

/** Each test of the suite that calls this begins with a site that sends, and ends with it stopped. */
export function startBeforeEach(options?: SendingOptions): void {
  beforeEach(async () => {
    machine = await SendingMachine.open();
    site = await SendingSite.start(machine, options);
  });
  afterEach(async () => {
    await site.stop();
    await machine[Symbol.asyncDispose]();
  });
}

/** Stops the site and begins its next life over the same disk. */
export async function restart(options?: SendingOptions): Promise<void> {
  await site.stop();
  site = await SendingSite.start(machine, options);
}
