# SpamAssassin with its local rules only (as `spamassassin -L`): which of them does each mail trip?
#
# Through its library, as its own script does, so that one start serves all mails. First argument: an empty folder for
# everything it may want to write; the others: rules that must be asked even where the package scores them 0, which
# switches them off. Standard input: `name<TAB>file`. Standard output: `name<TAB>RULE RULE ...`.
use strict;
use warnings;

use File::Copy qw(copy);
use Mail::SpamAssassin;

my ($folder, @rules) = @ARGV;
# The plugins of the package, without what the owner of this machine may have put into its local.cf.
mkdir "$folder/$_" for qw(site state);
copy($_, "$folder/site") or die "$_: $!" for glob '/etc/spamassassin/*.pre';
my $judge = Mail::SpamAssassin->new({
    local_tests_only      => 1,
    dont_copy_prefs       => 1,
    userprefs_filename    => "$folder/user_prefs",
    userstate_dir         => "$folder/state",
    home_dir_for_helpers  => $folder,
    # The rules of the package: what sa-update may have fetched since is not the same on every machine.
    rules_filename        => '/usr/share/spamassassin',
    site_rules_filename   => "$folder/site",
    LOCAL_STATE_DIR       => "$folder/state",
    post_config_text      => join("\n", 'use_bayes 0', 'use_auto_welcomelist 0', map({ "score $_ 1" } @rules), ''),
});
$judge->compile_now(0, 0);

while (my $line = <STDIN>) {
    chomp $line;
    my ($name, $file) = split /\t/, $line;
    open my $handle, '<:raw', $file or die "$file: $!";
    my $octets = do { local $/; <$handle> };
    my $mail = $judge->parse($octets, 0);
    my $verdict = $judge->check($mail);
    my $rules = $verdict->get_names_of_tests_hit;
    $rules =~ s/,/ /g;
    print "$name\t$rules\n";
    $verdict->finish;
    $mail->finish;
}
