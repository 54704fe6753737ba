"""What makes FiftyOne ready: the plugin's folder, the database, the App's server."""
