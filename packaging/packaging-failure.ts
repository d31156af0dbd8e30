/** Why no packages can be made here: a sentence for whoever asked for them. */
export class PackagingFailure extends Error {
  override readonly name = 'PackagingFailure';
}
