# Perl's Email::MIME and Email::Address::XS read our mail, as much of the world's mail tooling does.
#
# Standard input and output are those of read.py: `name<TAB>-<TAB>file` in; `problem` and `part` lines out.
use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Email::Address::XS;
use Email::MIME;
# Perl by itself knows GBK and not GB18030.
use Encode::HanExtra;

my $name;
sub problem { my $text = join ' ', @_; $text =~ s/([^ -~])/sprintf '\\x{%x}', ord $1/ge; print "problem\t$name\t$text\n" }

# A module that warns has seen something it did not expect.
local $SIG{__WARN__} = sub { problem('warning:', @_) };

sub lines { my ($octets) = @_; $octets =~ s/\r+\n|\r|\n/\n/g; $octets =~ s/\n+\z//; return $octets }

sub judge {
    my ($octets) = @_;
    my $mail = Email::MIME->new($octets);
    for my $field (qw(From Date Message-ID To MIME-Version)) {
        my @values = $mail->header_raw($field);
        problem("$field:", scalar(@values), 'times') if @values != 1;
    }
    for my $pair ($mail->header_raw_pairs ? [$mail->header_raw_pairs] : []) {
        while (my ($field, $value) = splice @$pair, 0, 2) {
            problem("$field is not ASCII") if $value =~ /[^\t\r\n -~]/;
            my $text = join '', $mail->header_str($field);
            problem("$field decodes to a line end or to nothing") if $text =~ /[\r\n\0\x{fffd}]/;
        }
    }
    my @from = Email::Address::XS->parse(scalar $mail->header_raw('From'));
    problem('From:', scalar $mail->header_raw('From')) if @from != 1 || !$from[0]->is_valid;
    $mail->walk_parts(sub {
        my ($part) = @_;
        return if $part->subparts;
        my ($type) = ($part->content_type // '') =~ m{^\s*([^;\s]+)};
        my $body = $part->body;
        # The charset must be one that Perl knows, and the text valid in it.
        if (lc($type // '') eq 'text/plain' || lc($type // '') eq 'text/html') {
            eval { my $text = $part->body_str; 1 } or problem('text:', $@);
        }
        $type = lc($type // 'text/plain');
        # Email::MIME takes the text of a part that has no header for one.
        return if $type =~ m{^message/} || !$part->header_names;
        $body = lines($body) if $type =~ m{^text/};
        print "part\t$name\t$type ", length $body, ' ', md5_hex($body), "\n";
    });
}

while (my $line = <STDIN>) {
    chomp $line;
    ($name, undef, my $file) = split /\t/, $line;
    open my $mail, '<:raw', $file or die "$file: $!";
    my $octets = do { local $/; <$mail> };
    eval { judge($octets); 1 } or problem('died:', $@);
}
