// Which model file the input `model` of a node comes from.
import { hostsIn, linkOf } from "./graphs.js";

const UNSEEN = ""; // in place of a name that only a run can tell
const SUBGRAPH_INPUTS = -10; // the id, a number or a text, that links from the inputs of a subgraph have
const MUTED = 2, BYPASSED = 4; // modes of nodes

const isFromOutside = (link) => Number(link?.origin_id) === SUBGRAPH_INPUTS;
const takesModel = ({ type }) => type === "CLDIS_MODEL" || type === "*";

/**
 * The names chosen in the loaders, through reroutes, switches and subgraphs; the likeliest first.
 * Among them is "" where the name, or the model, comes from a node that does not show it.
 */
export function modelNames(node, root) {
  return new Walk(node, root).names;
}

/**
 * The way from a node up its links. In a subgraph it knows by which node it `entered` it, the last one alone;
 * without one, as where it began, it leaves by all that stand for the subgraph.
 */
class Walk {
  constructor(node, root) {
    this.hosts = hostsIn(root);
    this.seen = new Map(); // node -> how it was met: links may run in a circle, or apart and together again
    const input = node.inputs?.find((each) => each.name === "model");
    const link = input?.link == null || !node.graph ? null : linkOf(node.graph, input.link);
    this.nearest = link && node.graph.getNodeById(link.origin_id);
    this.names = link ? this.fromLink(node.graph, link, null) : [];
  }

  isNew(node, how) {
    if (!this.seen.has(node)) this.seen.set(node, new Set());
    const met = this.seen.get(node);
    return !met.has(how) && met.add(how) !== null;
  }

  fromInput(graph, input, entered) {
    const link = input?.link == null ? null : linkOf(graph, input.link);
    return link ? this.fromLink(graph, link, entered) : [];
  }

  fromLink(graph, link, entered) {
    const slot = link.origin_slot;
    if (isFromOutside(link)) return this.outOf(graph, entered).flatMap((host) =>
      (this.isNew(host, `input ${slot}`) ? this.fromInput(host.graph, host.inputs?.[slot], null) : []));
    const source = graph.getNodeById(link.origin_id);
    return source ? this.fromNode(source, slot, entered) : [UNSEEN];
  }

  /** The nodes by which the walk leaves a subgraph. */
  outOf = (graph, entered) => (entered ? [entered] : [...this.hosts.get(graph) ?? []]);

  fromNode(source, slot, entered) {
    // A loader that is off stays that of sliders right behind it, which are off with it.
    const isPassing = source.mode === BYPASSED && (source.subgraph || source !== this.nearest);
    if (source.mode === MUTED && source !== this.nearest) return [];
    if (source.subgraph && !isPassing) return this.isNew(source, `output ${slot}`) ? this.into(source, slot) : [];
    if (!this.isNew(source, entered)) return [];
    const widget = source.widgets?.find((each) => each.name === "model_name");
    const nameInput = source.inputs?.find((each) => each.widget?.name === "model_name");
    if (widget && !isPassing) return this.fromName(source, nameInput, widget.value, entered);
    const linked = (source.inputs ?? []).filter((each) => takesModel(each) && each.link != null);
    if (!linked.length && !isPassing) return [UNSEEN]; // such as one that trains it
    return linked.flatMap((each) => this.fromInput(source.graph, each, entered));
  }

  into(host, slot) {
    const link = linkOf(host.subgraph, host.subgraph.outputs?.[slot]?.linkIds?.[0]);
    return link ? this.fromLink(host.subgraph, link, host) : [UNSEEN];
  }

  /** What a run may take for a name: `own`, or what the subgraph nodes hold that show it, out to the outermost. */
  fromName(node, input, own, entered) {
    if (input?.link == null) return [own];
    const link = linkOf(node.graph, input.link), slot = link?.origin_slot;
    if (!isFromOutside(link)) return [UNSEEN];
    return this.outOf(node.graph, entered).flatMap((host) => {
      const outer = host.inputs?.[slot], shownAs = outer?.widget?.name ?? outer?.name;
      const value = host.widgets?.find(({ name }) => name === shownAs)?.value ?? own;
      return this.isNew(host, `name ${slot} ${value}`) ? this.fromName(host, outer, value, null) : [];
    });
  }
}
