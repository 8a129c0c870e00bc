package MCPTest::Blocks;

# Test::Nginx with the defaults of these tests.  Load it before
# Test::Nginx::Socket:
#
#     use lib 't/lib';
#     use MCPTest::Blocks;
#     use Test::Nginx::Socket 'no_plan';
#     MCPTest::Blocks::defaults();
#     run_tests();
#
# A block without a config section gets the usual locations, one without
# http_config the usual settings; "--- settings" replaces the mcp_sse_ lines of
# the latter, "--- in_http" adds to it.  An alert in an error log fails a block.

use strict;
use warnings;

use File::Temp ();

use MCPTest;

my $settings = <<'EOT';
    mcp_sse_call  /_mcp/call;
    mcp_sse_user  /_mcp/user;
    mcp_sse_site  erp.example.com;
EOT

my $upstream = <<'EOT';
    absolute_redirect off;

    upstream frappe {
        server 127.0.0.1:$TEST_NGINX_FRAPPE_PORT;
        keepalive 4;
        keepalive_timeout 1s;
    }
EOT

my $internal = <<'EOT';
    location = /_mcp/call {
        internal;
        proxy_pass http://frappe/api/method/frappe_assistant_core.api.fac_endpoint.handle_mcp;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $mcp_sse_site;
        proxy_buffering off;
    }

    location = /_mcp/user {
        internal;
        proxy_pass http://frappe/api/method/frappe.auth.get_logged_user;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $mcp_sse_site;
        proxy_buffering off;
    }
EOT

# Test::Nginx begins the arguments of nginx with "-e FILE"; an nginx without it
# gets the others.

my $wrapper;


sub _without_e {
    my ($binary) = @_;

    $wrapper = File::Temp->newdir;

    open my $file, '>', "$wrapper/nginx" or die "$wrapper/nginx: $!\n";
    print {$file} "#!/bin/sh\n[ \"\$1\" != -e ] || shift 2\n",
        "exec '$binary' \"\$@\"\n";
    close $file;
    chmod 0755, "$wrapper/nginx" or die "$wrapper/nginx: $!\n";

    return "$wrapper/nginx";
}

my $locations = <<'EOT';
    location = /mcp/sse { mcp_sse_stream; }
    location = /mcp/sse/ { mcp_sse_stream; }
    location = /mcp/messages { mcp_sse_message; }
    location = /mcp/messages/ { mcp_sse_message; }
    location = /health { mcp_sse_health; }
    location = /health/ { mcp_sse_health; }
EOT

BEGIN {
    my $binary = MCPTest::Nginx::binary();

    $ENV{TEST_NGINX_BINARY} = MCPTest::Nginx::has_e() ? $binary
        : _without_e($binary);
    $ENV{TEST_NGINX_LOAD_MODULES} = join ' ', MCPTest::Nginx::modules();
    MCPTest::Nginx::overwrite_memory();

    # a directory and ports of its own

    $ENV{TEST_NGINX_RANDOMIZE} = 1;
    $ENV{TEST_NGINX_SLEEP} ||= 0.02;
    $ENV{TEST_NGINX_TIMEOUT} ||= int hang_after();
}

my $frappe;


sub defaults {
    $frappe = MCPTest::start_frappe();
    $ENV{TEST_NGINX_FRAPPE_PORT} = $frappe->port;

    no strict 'refs';

    &{'main::log_level'}($ENV{TEST_NGINX_LOG_LEVEL} || 'info');
    &{'main::no_shuffle'}();
    &{'main::no_root_location'}();

    &{'main::add_block_preprocessor'}(sub {
        my ($block) = @_;

        my $own = $block->settings;
        my $in  = $block->in_http;

        if (!defined $block->http_config) {
            $block->set_value('http_config', (defined $own ? $own : $settings)
                . (defined $in ? $in : '') . $upstream);
        }

        $block->set_value('config', $internal
            . (defined $block->config ? $block->config : $locations));

        if (!defined $block->no_error_log && !defined $block->must_die) {
            $block->set_value('no_error_log',
                "[alert]\n[crit]\n[emerg]\nalice-secret");
        }

        # If a stream stays open, the block gets what has arrived when its
        # time-out ends, so this must be long enough for the first event.

        if (defined $block->stream) {
            $block->set_value('timeout', '5s');
            $block->set_value('abort', '');
        }
    });

    return;
}


1;
