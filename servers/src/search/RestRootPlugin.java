package local.restroot;

import java.util.Collection;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;

import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;

/** Answers GET / and HEAD / as the rest-root module of the full distribution does; that module is not published. */
public class RestRootPlugin extends Plugin implements ActionPlugin, org.elasticsearch.plugins.AnalysisPlugin {
    // The pieces of the analysis-common module that the security index's template names.
    @Override
    public java.util.Map<String, org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider<org.elasticsearch.index.analysis.TokenFilterFactory>> getTokenFilters() {
        return java.util.Map.of(
            "pattern_capture", (i, e, n, s) -> {
                var patterns = s.getAsList("patterns").stream().map(java.util.regex.Pattern::compile).toArray(java.util.regex.Pattern[]::new);
                boolean keep = s.getAsBoolean("preserve_original", true);
                return factory(n, t -> new org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter(t, keep, patterns));
            },
            "unique", (i, e, n, s) -> factory(n, org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter::new));
    }
    @Override
    public java.util.List<org.elasticsearch.index.analysis.PreConfiguredTokenFilter> getPreConfiguredTokenFilters() {
        return java.util.List.of(org.elasticsearch.index.analysis.PreConfiguredTokenFilter.singleton("unique", false,
            org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter::new));
    }
    @Override
    public java.util.List<org.elasticsearch.index.analysis.PreConfiguredTokenizer> getPreConfiguredTokenizers() {
        return java.util.List.of(org.elasticsearch.index.analysis.PreConfiguredTokenizer.singleton("uax_url_email",
            org.apache.lucene.analysis.email.UAX29URLEmailTokenizer::new));
    }
    private static org.elasticsearch.index.analysis.TokenFilterFactory factory(String name, java.util.function.UnaryOperator<org.apache.lucene.analysis.TokenStream> f) {
        return new org.elasticsearch.index.analysis.TokenFilterFactory() {
            @Override public String name() { return name; }
            @Override public org.apache.lucene.analysis.TokenStream create(org.apache.lucene.analysis.TokenStream t) { return f.apply(t); }
        };
    }

    @Override
    public Collection<RestHandler> getRestHandlers(RestHandlersServices services, Supplier<DiscoveryNodes> nodes, Predicate<NodeFeature> f) {
        return List.of(new Root(nodes));
    }

    static final class Root extends BaseRestHandler {
        private final Supplier<DiscoveryNodes> nodes;
        Root(Supplier<DiscoveryNodes> nodes) { this.nodes = nodes; }
        @Override public String getName() { return "local_rest_root"; }
        @Override public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
        }
        @Override protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
            return channel -> {
                Build b = Build.current();
                try (var x = channel.newBuilder()) {
                    x.startObject().field("name", nodes.get().getLocalNode().getName());
                    x.startObject("version").field("number", b.qualifiedVersion()).field("build_flavor", b.flavor())
                        .field("build_type", b.type().displayName()).field("build_hash", b.hash()).field("build_date", b.date())
                        .field("build_snapshot", b.isSnapshot()).field("lucene_version", "unknown").endObject();
                    x.field("tagline", "You Know, for Search").endObject();
                    channel.sendResponse(new RestResponse(RestStatus.OK, x));
                }
            };
        }
    }
}
