import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { ExportPackageProgress } from '../../shared/rpc/generated/waybill/v1/ExportPackageProgress.ts';
import type { ExportPackageRequest__Output } from '../../shared/rpc/generated/waybill/v1/ExportPackageRequest.ts';
import type { ImportPackageProgress } from '../../shared/rpc/generated/waybill/v1/ImportPackageProgress.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { progressStream } from '../../shared/runtime/progress-stream.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { PackageExport } from '../prestaged-content/package-export.ts';
import type { ImportProgress, PackageImport } from '../prestaged-content/package-import.ts';
import type { AdminScopes } from './admin-scopes.ts';
import { requirePackageId } from './package-requests.ts';

/** What answering about prestaged files needs. */
export interface PrestagedAnswersComponents {
  readonly prestaged: {
    readonly exports: Pick<PackageExport, 'run'>;
    readonly imports: Pick<PackageImport, 'run'>;
  };
  readonly packages: Pick<PackageStore, 'require'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly scopes: Pick<AdminScopes, 'requireOwnSite'>;
}

const stageNames = {
  copying: 'IMPORT_STAGE_COPYING',
  unpacking: 'IMPORT_STAGE_UNPACKING',
  stored: 'IMPORT_STAGE_STORED',
  'stored-before': 'IMPORT_STAGE_STORED_BEFORE',
  waiting: 'IMPORT_STAGE_WAITING',
} as const satisfies Record<ImportProgress['stage'], ImportPackageProgress['stage']>;

/** What of the Admin conversation is about prestaged files (PKG-12). */
export class PrestagedAnswers {
  readonly #components: PrestagedAnswersComponents;

  constructor(components: PrestagedAnswersComponents) {
    this.#components = components;
  }

  methods() {
    return {
      exportPackage: (request, context) => this.#export(request, context),
      importPackage: ({ path }, context) => this.#import(path, context),
    } satisfies Partial<Conversation<'Admin'>>;
  }

  async *#export(
    request: ExportPackageRequest__Output,
    context: CallContext,
  ): AsyncGenerator<ExportPackageProgress> {
    const { prestaged, packages, clock, scopes } = this.#components;
    await scopes.requireOwnSite(context);
    const { path, baseVersion, overwrite } = request;
    const packageId = requirePackageId(request.packageId);
    const order = { packageId, path, baseVersion, overwrite };
    yield* progressStream<ExportPackageProgress>(
      async (tell, ended) => {
        await packages.require(packageId);
        const { fileHash, ...result } = await prestaged.exports.run(order, tell, ended);
        return { result: { ...result, fileHash: Buffer.from(fileHash, 'hex') } };
      },
      { clock, signal: context.signal },
    );
  }

  async *#import(path: string, context: CallContext): AsyncGenerator<ImportPackageProgress> {
    const { prestaged, clock, scopes } = this.#components;
    await scopes.requireOwnSite(context);
    const steps = progressStream<ImportProgress>(
      (tell, ended) => prestaged.imports.run(path, tell, ended),
      { clock, signal: context.signal },
    );
    for await (const { stage, ...step } of steps) yield { ...step, stage: stageNames[stage] };
  }
}
