"""The parts of the imitated Mailchimp Marketing API 3.0, one idea a module."""
