/** The wiring of a DP agent: the only file that sees every component. */
import { join } from 'node:path';
import { ContentLibrary } from '../shared/content-library/content-library.ts';
import { ArrivingContents } from '../shared/content-server/arriving-contents.ts';
import { ContentServer } from '../shared/content-server/content-server.ts';
import { PieceSource } from '../shared/content-source/piece-source.ts';
import { ContentValidation } from '../shared/content-validation/content-validation.ts';
import { PackageReceiver } from '../shared/package-receiver/package-receiver.ts';
import type { LiveCredentials } from '../shared/rpc/live-credentials.ts';
import { RpcServer } from '../shared/rpc/rpc-server.ts';
import { agentVersion } from '../shared/runtime/agent-version.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import { type Component, startInOrder, stopThenClose } from '../shared/runtime/component.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import { StateStore } from '../shared/state-store/state-store.ts';
import { certificateKeeper } from './certificate-wiring.ts';
import { controlParts } from './control-wiring.ts';
import { type DpConfig, libraryDirectoryOf } from './dp-config.ts';
import { dpMetrics } from './dp-metrics.ts';
import { distributionPointConversation } from './dp-provider/distribution-point-conversation.ts';
import { validationConversation } from './dp-provider/validation-conversation.ts';
import { prestagedParts } from './prestaged-wiring.ts';
import { pullParts } from './pull-wiring.ts';
import { dpRoots } from './roots-wiring.ts';
import { toldControlsConversation } from './told-controls/told-controls-conversation.ts';
import { ToldTrustKeeper } from './told-trust/told-trust.ts';
import { toldTrustConversation } from './told-trust/told-trust-conversation.ts';

/** Files of the library kept open between two pieces that others fetch. */
const servedFilesMax = 64;

export interface DpAgentNeeds {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly credentials: LiveCredentials;
}

export class DpAgent implements Component {
  readonly #components: readonly Component[];
  readonly #store: StateStore;
  readonly #server: RpcServer;

  private constructor(store: StateStore, server: RpcServer, components: readonly Component[]) {
    this.#store = store;
    this.#server = server;
    this.#components = components;
  }

  /** @throws DATA_DIRECTORY_IN_USE when another process has the data directory */
  static async open(needs: DpAgentNeeds, config: DpConfig): Promise<DpAgent> {
    const opened = await StateStore.open({
      directory: join(config.dataDirectory, 'state-store'),
      logger: needs.logger.child({ component: 'state-store' }),
    });
    try {
      return await DpAgent.#of(needs, config, opened);
    } catch (error) {
      // Whoever opens it again finds it free.
      await opened.store.close();
      throw error;
    }
  }

  static async #of(
    needs: DpAgentNeeds,
    config: DpConfig,
    { store, damage }: Awaited<ReturnType<typeof StateStore.open>>,
  ): Promise<DpAgent> {
    const { clock, logger, credentials } = needs;
    const child = (component: string) => logger.child({ component });
    if (damage) {
      child('state-store').error(
        { ...damage },
        'State store was damaged and set aside; the index is rebuilt from the content library',
      );
    }
    const directory = libraryDirectoryOf(config);
    const library = new ContentLibrary(
      { store, clock, logger: child('content-library') },
      { ...config, directory },
    );
    const provider = new PackageReceiver(
      { library, store, clock, logger: child('dp-provider') },
      { ...config, incomingDirectory: join(directory, 'incoming') },
    );
    const roots = await dpRoots({ clock, logger: child('told-trust') }, config);
    const toldTrust = new ToldTrustKeeper({
      ...{ store, clock, siteCode: config.siteCode, logger: child('told-trust') },
      ...roots,
    });
    const { trust } = toldTrust;
    const server = new RpcServer(
      {
        ...{ credentials, trust },
        logger: child('rpc'),
        onAudit: (event) => child('audit').info({ ...event }, 'Call audited'),
      },
      { address: config.listen, siteCode: config.siteCode },
    );
    const { dpId, siteCode } = config;
    const keeper = certificateKeeper(
      { credentials, trust, clock, child, server, ...roots },
      config,
    );
    const said = { agentVersion: agentVersion(), certificate: () => keeper.report() };
    const self = { dpId, siteCode, ...said };
    const arriving = new ArrivingContents();
    const pieceSource = new PieceSource({
      fileLibraryDirectory: library.layout.fileLibrary,
      cacheBytesMax: config.cacheBytesMax,
      openFilesMax: servedFilesMax,
    });
    const controls = controlParts({ store, clock, child }, config);
    const pull = pullParts(
      {
        ...{ store, library, receiver: provider, arriving, credentials, trust },
        ...{ clock, child, damage, ...controls },
      },
      config,
    );
    let pushedBytes = 0;
    const onPushed = (bytes: number) => {
      pushedBytes += bytes;
    };
    const answers = distributionPointConversation(provider, library, self, onPushed);
    const prestaged = prestagedParts({ library, credentials, clock, child }, config);
    const validation = new ContentValidation(
      { library, store, clock, logger: child('content-validation') },
      config,
    );
    // What is damaged is not sent from a file that happens to be open.
    library.upkeep.quarantine.onTaken(() => pieceSource.forgetRead());
    server.serve('DistributionPoint', {
      ...pull.answering(answers),
      ...toldControlsConversation(controls.toldControls, pull.pullDp),
      ...toldTrustConversation(toldTrust),
      ...prestaged.answers,
      ...validationConversation(validation, library),
    });
    const contentServer = new ContentServer({
      ...{ library, pieceSource, arriving, deltas: library, clock },
      controls: { arbiter: controls.arbiter, hours: controls.servingHours },
      arrivingBytes: provider.arrivingBytes,
      logger: child('content-server'),
    });
    server.serve('Content', contentServer.conversation());
    const told = [...controls.components, pull.outbox, damageAcknowledged(store)];
    // What was told before is known to whoever asks for a certificate.
    const kept = [toldTrust, keeper, library, prestaged.held, ...told];
    const working = [provider, pieceSource, validation, ...pull.components, server];
    const metrics = dpMetrics(
      {
        ...{ credentials, keeper, provider, contentServer, clock, child },
        ...{ pullDp: pull.pullDp, pushedBytes: () => pushedBytes },
      },
      config,
    );
    return new DpAgent(store, server, [...kept, ...working, ...metrics]);
  }

  /** host:port the agent listens on, once it is started. */
  get address(): string {
    return this.#server.address;
  }

  async start(): Promise<void> {
    await startInOrder(this.#components);
  }

  async stop(): Promise<void> {
    await stopThenClose(this.#components, this.#store);
  }
}

/** Once the library has rebuilt its index from the files, nothing of a damaged store is missed. */
function damageAcknowledged(store: StateStore): Component {
  return {
    start: () => store.write([store.damageHandled()], { sync: true }),
    stop: async () => {},
  };
}
